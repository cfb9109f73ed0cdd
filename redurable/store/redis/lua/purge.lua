-- Purpose: delete all that is stored of a finished instance; its past histories were deleted before.
-- Invariant: only an instance that has finished, and is still the one whose belongings the caller has read.
-- KEYS: open, ix, ended, hash, executions, then all other keys of the instance..., zsets that it is in..., kids of its
--   parent (if it has one).
-- ARGV: instance, execution, number of past executions, number of keys of the instance, 1 or 0 kids.
-- Returns: missing | running | purged, again when it is another one by now.

local instance, own = ARGV[1], ARGV[4] + 0
local status, execution = unpack(redis.call('HMGET', KEYS[4], 's', 'x'))
if not status then
  for i = 2, 3 do redis.pcall('ZREM', KEYS[i], instance) end
  return 'missing'
end
local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
if not finished[status] then return 'running' end
if execution ~= ARGV[2] or redis.call('LLEN', KEYS[5]) ~= tonumber(ARGV[3]) then return 'again' end
local zsets = 4 + own
redis.call('DEL', unpack(KEYS, 4, zsets - 1))
redis.pcall('SREM', KEYS[1], instance)
for i = 2, 3 do redis.pcall('ZREM', KEYS[i], instance) end
for i = zsets, #KEYS - ARGV[5] do redis.pcall('ZREM', KEYS[i], instance) end
if ARGV[5] == '1' then redis.pcall('SREM', KEYS[#KEYS], instance) end
return 'purged'
