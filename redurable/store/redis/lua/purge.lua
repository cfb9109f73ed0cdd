-- Purpose: delete all that is stored of a finished instance, with its past histories: when there are too many for one
--   step, so many of the oldest ones that in the end the last step takes all that is left.
-- Invariant: nothing goes but of an instance that has finished, that no parent has asked to go on, and that is still the
--   one whose belongings the caller has read. Until the last step it is there, with its first and its newest executions.
-- KEYS: open, ix, ended, parked, hash, executions, mailbox, then all other keys of the instance..., zsets that it is
--   in..., kids of its parent (if it has one), histories of its oldest past executions...
-- ARGV: instance, execution, number of keys of the instance, number of zsets, 1 or 0 kids, number of past executions.
-- Returns: missing | running | awaited | purged, more when past histories are left, again when it is another one by now.
--@include _awaited
--@include _forget

local call, try = redis.call, redis.pcall
local instance, zsets = ARGV[1], 5 + ARGV[3]
local kids = zsets + ARGV[4]
local past = kids + ARGV[5]
local function unlist()
  for i = 2, 4 do try('ZREM', KEYS[i], instance) end
end
local status, execution = unpack(call('HMGET', KEYS[5], 's', 'x'))
if not status then
  unlist()
  return 'missing'
end
local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
if not finished[status] then return 'running' end
if (execution or '') ~= ARGV[2] or call('LLEN', KEYS[6]) ~= ARGV[6] + 0 then return 'again' end
if not may_go(KEYS[5], KEYS[7]) then return 'awaited' end
local left = ARGV[6] - (#KEYS - past + 1)
if left > 0 then
  forget(KEYS[6], past + 1, math.min(#KEYS, past + left))
  return 'more'
end
if past <= #KEYS then call('UNLINK', unpack(KEYS, past)) end
call('UNLINK', unpack(KEYS, 5, zsets - 1))
try('SREM', KEYS[1], instance)
unlist()
for i = zsets, kids - 1 do try('ZREM', KEYS[i], instance) end
if ARGV[5] == '1' then try('SREM', KEYS[kids], instance) end
return 'purged'
