-- Purpose: a sub-orchestration is on its own from now on.
-- Invariant: only one of this parent.
-- KEYS: hash, kids of the parent, ended.
-- ARGV: instance, parent.
-- Returns: 1 when it was its child, else 0.
--@include _index

local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
redis.pcall('SREM', KEYS[2], ARGV[1])
local status, updated, parent = unpack(redis.call('HMGET', KEYS[1], 's', 'u', 'o'))
if not status or parent ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'o')
if finished[status] then redis.pcall('ZADD', KEYS[3], score(status, updated), ARGV[1]) end
return 1
