-- Purpose: delete all that is stored of a finished instance; its past histories were deleted before.
-- Invariant: only an instance that has finished, and is still the one whose past histories were deleted.
-- KEYS: open, hash, executions, then all other keys of the instance.
-- ARGV: instance, execution, number of past executions ('' both: only look).
-- Returns: missing | running | purged, or for a look and for a moved instance its execution and its past executions.

local status, execution = unpack(redis.call('HMGET', KEYS[2], 's', 'x'))
if not status then return 'missing' end
local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
if not finished[status] then return 'running' end
local past = redis.call('LRANGE', KEYS[3], 0, -1)
if execution ~= ARGV[2] or #past ~= tonumber(ARGV[3]) then return { execution, past } end
redis.call('DEL', unpack(KEYS, 2))
redis.call('SREM', KEYS[1], ARGV[1])
return 'purged'
