-- Purpose: read which instances of a partition ended so long ago with a status.
-- Invariant: an entry whose instance is gone, goes on, has a parent, or ended with another status, goes: it would be in the
--   way of all behind it. One that has ended anew since the caller read the list is not old, and stays listed.
-- KEYS: ended, hashes.
-- ARGV: status, least and greatest score, instances, in the order of the hashes.
-- Returns: per instance its execution ('' = none is known); nil when its entry went, or is not old.

local status, least, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local out = {}
for i = 2, #KEYS do
  local instance = ARGV[i + 2]
  local row = redis.pcall('HMGET', KEYS[i], 'x', 's', 'o')
  local ended = tonumber(redis.call('ZSCORE', KEYS[1], instance) or '')
  local old = ended and least <= ended and ended <= most
  local right = not row.err and row[2] == status and not row[3]
  out[i - 1] = old and right and (row[1] or '') or false
  if old and not right then redis.call('ZREM', KEYS[1], instance) end
end
return out
