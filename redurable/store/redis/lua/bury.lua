-- Purpose: put a dead letter on the hub's stream of them.
-- Invariant: an id at or below the source's mark was put there before; the mark moves in the same step.
-- KEYS: dead, marks (both of the hub).
-- ARGV: source, id there, position in the intake (or ''), reason, instance, original fields and their values...
-- Returns: 1 = put there now, 0 = was there.
--@include _now
--@include _above

if not above(ARGV[2], redis.call('HGET', KEYS[2], ARGV[1]) or '0-0') then return 0 end
local fields = { 'reason', ARGV[4], 'instance', ARGV[5], 'at', now() }
if ARGV[3] ~= '' then
  fields[7], fields[8] = 'position', ARGV[3]
end
for n = 6, #ARGV do fields[#fields + 1] = ARGV[n] end
redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
