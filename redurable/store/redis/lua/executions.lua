-- Purpose: read the ids of all executions of an instance.
-- Invariant: writes nothing; the current execution is never listed as a past one.
-- KEYS: hash, executions.
-- ARGV: none.
-- Returns: the ids, oldest first.

local ids = redis.call('LRANGE', KEYS[2], 0, -1)
local current = redis.call('HGET', KEYS[1], 'x')
if current then ids[#ids + 1] = current end
return ids
