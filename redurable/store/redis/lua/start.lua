-- Purpose: begin an instance with its start message, announced, or parked until its delay is over.
-- Invariant: an execution id begins once, however often it is asked for. The first write is one that a server out of
--   memory refuses. A finished instance is erased only when no parent has asked it to go on, and all its past
--   histories, and all indexes that it is in, are in KEYS; past histories that are too many for one step go before.
-- KEYS: ready, hash, start, mailbox, open, timers, history, custom status, quarantine, executions, unknown and kept (see
--   _keep), ix, names, ended, parked, indexes (see _index: listed)...; of an instance to be replaced: the zsets that it is
--   in..., kids of its parent (if it has one), histories of its oldest past executions...
-- ARGV: instance, name, execution, number, body, on_conflict, delay in ms, instance as JSON, owner, number of indexes; of
--   an instance to be replaced: its execution ('' = none is known), number of zsets, 1 or 0 kids, number of past executions.
-- Returns: started, existing, refused; again: read what the instance has once more, and repeat.
--@include _now
--@include _keep
--@include _index
--@include _create
--@include _awaited
--@include _forget
local call = redis.call
local ready, hash, start, mailbox, open, timers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local instance, name, execution, number, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local delay = tonumber(ARGV[7])
local clock = now()

local found = call('HMGET', hash, 's', 'x')
if found[1] then
  if found[2] == execution or call('LINDEX', KEYS[10], 0) == execution then return 'started' end
  if ARGV[6] == 'use-existing' then return 'existing' end
  local status = found[1]
  local over = status == 'Completed' or status == 'Failed' or status == 'Canceled' or status == 'Terminated'
  if ARGV[6] ~= 'replace-finished' or not over or not may_go(hash, mailbox) then return 'refused' end
  local zsets = 17 + ARGV[10]
  local past = zsets + ARGV[12] + ARGV[13]
  if (found[2] or '') ~= ARGV[11] or call('LLEN', KEYS[10]) ~= ARGV[14] + 0 then return 'again' end
  for key, kind in pairs({ [ready] = 'stream', [open] = 'set', [timers] = 'zset' }) do
    local there = call('TYPE', key)['ok']
    if there ~= kind and there ~= 'none' then return redis.error_reply('WRONGTYPE ' .. key .. ' is no ' .. kind) end
  end
  call('HSET', hash, 's', status) -- refused when out of memory: then nothing has been erased
  local left = ARGV[14] - (#KEYS - past + 1)
  if left > 0 then
    forget(KEYS[10], past + 1, math.min(#KEYS, past + left))
    return 'again'
  end
  if past <= #KEYS then call('UNLINK', unpack(KEYS, past)) end
  call('UNLINK', hash, start, mailbox, KEYS[7], KEYS[8], KEYS[9], KEYS[10])
  for i = 15, 16 do redis.pcall('ZREM', KEYS[i], instance) end
  for i = zsets, zsets + ARGV[12] - 1 do redis.pcall('ZREM', KEYS[i], instance) end
  if ARGV[13] == '1' then redis.pcall('SREM', KEYS[past - 1], instance) end
end
local why = create(ready, hash, start, mailbox, open, timers, listed({
  instance = instance, name = name, execution = execution, number = number, body = body,
  wake = string.format('%.0f', clock + delay), json = ARGV[8], owner = ARGV[9],
  unknown = KEYS[11], kept = KEYS[12], ix = KEYS[13], names = KEYS[14],
}, 17, ARGV[10] + 0), clock)
return why and redis.error_reply(why) or 'started'
