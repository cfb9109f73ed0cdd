-- Purpose: delete all that is stored of a finished instance, with its past histories.
-- Invariant: all or nothing, and only of an instance that has finished, that no parent has asked to go on, and that is
--   still the one whose belongings the caller has read.
-- KEYS: open, ix, ended, parked, hash, executions, mailbox, then all other keys of the instance..., zsets that it is
--   in..., kids of its parent (if it has one), past histories...
-- ARGV: instance, execution, number of keys of the instance, number of zsets, 1 or 0 kids.
-- Returns: missing | running | awaited | purged, again when it is another one by now.
--@include _awaited

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
if (execution or '') ~= ARGV[2] or call('LLEN', KEYS[6]) ~= #KEYS - past + 1 then return 'again' end
if not may_go(KEYS[5], KEYS[7]) then return 'awaited' end
for i = past, #KEYS, 1000 do call('UNLINK', unpack(KEYS, i, math.min(i + 999, #KEYS))) end
call('DEL', unpack(KEYS, 5, zsets - 1))
try('SREM', KEYS[1], instance)
unlist()
for i = zsets, kids - 1 do try('ZREM', KEYS[i], instance) end
if ARGV[5] == '1' then try('SREM', KEYS[kids], instance) end
return 'purged'
