-- Purpose: renew leases.
-- Invariant: a lease is renewed only while its entry is pending for this consumer; one that was taken over stays lost.
-- KEYS: streams (ready streams, task queues).
-- ARGV: consumer, then per lease: number of its stream (from 1), entry id.
-- Returns: per lease 1 = held, 0 = lost.

local out = {}
for at = 2, #ARGV, 2 do
  local stream, id = KEYS[tonumber(ARGV[at])], ARGV[at + 1]
  local held = redis.pcall('XPENDING', stream, 'w', id, id, 1, ARGV[1]) -- an error: the stream was deleted
  local kept = {}
  if not held.err and #held == 1 then kept = redis.call('XCLAIM', stream, 'w', ARGV[1], 0, id, 'JUSTID') end
  out[#out + 1] = #kept
end
return out
