-- Purpose: begin an instance with its start message, announced, or parked until its delay is over.
-- Invariant: an execution id begins once, however often it is asked for. The first write is one that a server out of
--   memory refuses. A finished instance is erased only when all its past histories are in KEYS.
-- KEYS: ready, hash, start, mailbox, open, timers, history, custom status, quarantine, executions, unknown and kept (see
--   _keep), past histories...
-- ARGV: instance, name, execution, number, body, on_conflict, delay in ms, instance as JSON.
-- Returns: started, existing, refused; again: read the list of executions again and repeat.
--@include _now
--@include _keep
--@include _create
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
  if ARGV[6] ~= 'replace-finished' or not over then return 'refused' end
  if call('LLEN', KEYS[10]) ~= #KEYS - 12 then return 'again' end
  for key, kind in pairs({ [ready] = 'stream', [open] = 'set', [timers] = 'zset' }) do
    local there = call('TYPE', key)['ok']
    if there ~= kind and there ~= 'none' then return redis.error_reply('WRONGTYPE ' .. key .. ' is no ' .. kind) end
  end
  call('HSET', hash, 'u', clock) -- refused when out of memory: then nothing has been erased
  call('DEL', hash, start, mailbox, KEYS[7], KEYS[8], KEYS[9], KEYS[10])
  for i = 13, #KEYS do call('DEL', KEYS[i]) end
end
local why = create(ready, hash, start, mailbox, open, timers, {
  instance = instance, name = name, execution = execution, number = number, body = body,
  wake = string.format('%.0f', clock + delay), json = ARGV[8],
  unknown = KEYS[11], kept = KEYS[12],
}, clock)
return why and redis.error_reply(why) or 'started'
