-- Purpose: make ready entries of one consumer another's.
-- Invariant: only what this consumer holds changes hands, its lease begins anew, and no delivery is counted.
-- KEYS: ready streams (once).
-- ARGV: consumer, the other consumer, then per entry 2: index of its stream, id.
-- Returns: per entry 1 = handed over, 0 = was not held.

local out, STRIDE = {}, 2
for a = 3, #ARGV, STRIDE do
  local stream, id = KEYS[ARGV[a] + 0], ARGV[a + 1]
  local held = redis.pcall('XPENDING', stream, 'w', id, id, 1, ARGV[1]) -- an error: the stream was deleted
  local moved = {}
  if not held.err and #held == 1 then moved = redis.call('XCLAIM', stream, 'w', ARGV[2], 0, id, 'JUSTID') end
  out[#out + 1] = #moved
end
return out
