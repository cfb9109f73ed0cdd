-- Purpose: give up entries and tasks that were received but not begun, so that another worker takes them at once.
-- Invariant: only what is still pending is given up; an entry that is not the announce flag (any more) only vanishes.
-- KEYS: ready streams and task queues (once); per entry hash.
-- ARGV: per entry or task 4: index of stream, index of hash (0 = it is a task), id, instance ('' = it is a task).
-- Returns: how many were put back.
--@include _announce
local call = redis.call
local back = 0
for a = 1, #ARGV, 4 do
  local stream, k, id = KEYS[ARGV[a] + 0], ARGV[a + 1] + 0, ARGV[a + 2]
  local body = k == 0 and call('XRANGE', stream, id, id)[1]
  local held = redis.pcall('XACK', stream, 'w', id) == 1
  if held then call('XDEL', stream, id) end
  if held and body then
    call('XADD', stream, '*', unpack(body[2]))
    back = back + 1
  elseif held and k > 0 and call('HGET', KEYS[k], 'q') == id then
    announce(stream, KEYS[k], ARGV[a + 3])
    back = back + 1
  end
end
return back
