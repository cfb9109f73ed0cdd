-- Purpose: put a dead letter back into the intake.
-- Invariant: in one step, and only while it lies there, so once whoever calls. The intake comes first: if it takes
--   nothing, the letter stays.
-- KEYS: dead, intake (both of the hub).
-- ARGV: id, then the fields of its entry in the intake.
-- Returns: 1 when it was put there, 0 when there is no such letter.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
