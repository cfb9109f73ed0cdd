-- Purpose: read which instances of a partition ended so long ago.
-- Invariant: an entry whose instance is gone, goes on, or has a parent, goes: it would be in the way of all behind it. One
--   that has ended anew since the caller read the list is not old.
-- KEYS: ended, hashes.
-- ARGV: least and greatest score, instances, in the order of the hashes.
-- Returns: per instance its execution and status; none when its entry went, or is not old.

local least, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
local out = {}
for i = 2, #KEYS do
  local instance = ARGV[i + 1]
  local row = redis.pcall('HMGET', KEYS[i], 'x', 's', 'o')
  local ended = tonumber(redis.call('ZSCORE', KEYS[1], instance) or '')
  out[i - 1] = {}
  if row.err or not finished[row[2] or ''] or row[3] then
    redis.call('ZREM', KEYS[1], instance)
  elseif ended and least <= ended and ended <= most then
    out[i - 1] = { row[1], row[2] }
  end
end
return out
