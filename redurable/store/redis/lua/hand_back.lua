-- Purpose: give up entries and tasks that were received but not begun, so that another worker takes them at once.
-- Invariant: only what this consumer holds is given up; an entry that is not the announce flag (any more) only vanishes.
-- KEYS: ready streams and task queues (once); per partition (once) timers, retries, beats; per entry hash.
-- ARGV: consumer, then per entry or task 11: index of stream, index of hash (0 = it is a task), id, instance ('' = it is a
--   task), index of timers; of a task also: field of stored heartbeat details ('' = none), task with these in it ('' = as
--   it is), then member to queue as in _wait ('' = its wait is not limited).
-- Returns: how many were put back.
--@include _announce
--@include _now
--@include _wait
local call = redis.call
local back, time, STRIDE = 0, now(), 11

local function again(stream, a, fields)
  if ARGV[a + 6] ~= '' then fields = { 't', ARGV[a + 6] } end
  local p, id = ARGV[a + 4] + 0, call('XADD', stream, '*', unpack(fields))
  if ARGV[a + 5] ~= '' then redis.pcall('HDEL', KEYS[p + 2], ARGV[a + 5]) end
  if ARGV[a + 7] ~= '' then
    wait(KEYS[p], KEYS[p + 1], id, ARGV[a + 7], ARGV[a + 8], ARGV[a + 9], ARGV[a + 10], time)
  end
end

for a = 2, #ARGV, STRIDE do
  local stream, k, id = KEYS[ARGV[a] + 0], ARGV[a + 1] + 0, ARGV[a + 2]
  local holds = redis.pcall('XPENDING', stream, 'w', id, id, 1, ARGV[1]) -- an error: the stream was deleted
  local held = not holds.err and #holds == 1
  local body = held and k == 0 and call('XRANGE', stream, id, id)[1]
  if held then
    call('XACK', stream, 'w', id)
    call('XDEL', stream, id)
  end
  if body then
    again(stream, a, body[2])
    back = back + 1
  elseif held and k > 0 and call('HGET', KEYS[k], 'q') == id then
    announce(stream, KEYS[k], ARGV[a + 3])
    back = back + 1
  end
end
return back
