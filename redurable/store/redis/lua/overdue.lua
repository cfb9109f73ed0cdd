-- Purpose: read which instances of a partition ended so long ago.
-- Invariant: an entry whose instance is gone, goes on, or has a parent, goes: it would be in the way of all behind it.
-- KEYS: ended, hashes.
-- ARGV: instances, in the order of the hashes.
-- Returns: per instance its execution and status; none when its entry went.

local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
local out = {}
for i, instance in ipairs(ARGV) do
  local row = redis.pcall('HMGET', KEYS[i + 1], 'x', 's', 'o')
  if row.err or not finished[row[2] or ''] or row[3] then
    redis.call('ZREM', KEYS[1], instance)
    out[i] = {}
  else
    out[i] = { row[1], row[2] }
  end
end
return out
