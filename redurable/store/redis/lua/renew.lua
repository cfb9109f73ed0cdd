-- Purpose: renew leases, and store the heartbeat details that come with those of tasks.
-- Invariant: a lease is renewed only while its entry is pending for this consumer; one that was taken over stays lost, and
--   details of it are not stored. The first write is one that a server out of memory allows; the details come after it.
-- KEYS: streams (ready streams, task queues), marks of cancelled calls, beats.
-- ARGV: consumer, then per lease 6: index of its stream, entry id, index of marks (0 = no task), the call of the task, index
--   of beats (0 = no details), details.
-- Returns: per lease 1 = held, 2 = held, but its call was cancelled, 0 = lost.

local out, STRIDE = {}, 6
for at = 2, #ARGV, STRIDE do
  local stream, id, call = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 3]
  local held = redis.pcall('XPENDING', stream, 'w', id, id, 1, ARGV[1]) -- an error: the stream was deleted
  local kept = {}
  if not held.err and #held == 1 then kept = redis.call('XCLAIM', stream, 'w', ARGV[1], 0, id, 'JUSTID') end
  local answer = #kept
  if answer == 1 and ARGV[at + 4] ~= '0' then redis.pcall('HSET', KEYS[ARGV[at + 4] + 0], call, ARGV[at + 5]) end
  if answer == 1 and ARGV[at + 2] ~= '0' and type(redis.pcall('ZSCORE', KEYS[ARGV[at + 2] + 0], call)) == 'string' then
    answer = 2
  end
  out[#out + 1] = answer
end
return out
