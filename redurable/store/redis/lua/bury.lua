-- Purpose: put dead letters on the hub's stream of them, in order.
-- Invariant: an id at or below the source's mark was put there before; the mark moves in the same step.
-- KEYS: dead, marks (both of the hub).
-- ARGV: source, then per letter: size (without itself), id there, position in the intake (or ''), reason, instance,
--   original fields and their values...
-- Returns: how many were put there now.
--@include _now
--@include _above

local mark, time, buried, a = redis.call('HGET', KEYS[2], ARGV[1]) or '0-0', now(), 0, 2
while a <= #ARGV do
  local size, id = ARGV[a] + 0, ARGV[a + 1]
  if above(id, mark) then
    local fields = { 'reason', ARGV[a + 3], 'instance', ARGV[a + 4], 'at', time }
    if ARGV[a + 2] ~= '' then
      fields[7], fields[8] = 'position', ARGV[a + 2]
    end
    for n = a + 5, a + size do fields[#fields + 1] = ARGV[n] end
    redis.call('XADD', KEYS[1], '*', unpack(fields))
    mark, buried = id, buried + 1
  end
  a = a + size + 1
end
if buried > 0 then redis.call('HSET', KEYS[2], ARGV[1], mark) end
return buried
