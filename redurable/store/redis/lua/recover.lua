-- Purpose: read all that a consumer holds; a reply that never arrived leaves entries with it that it does not know of.
-- Invariant: nothing changes hands, and no delivery is counted: the consumer lives. Entries that a foreign client deleted
--   from the stream are forgotten.
-- KEYS: streams (ready streams, task queues).
-- ARGV: consumer.
-- Returns: per stream a list of entries, each with its id, its fields, who holds it, and how often it was delivered.

local out, MOST = {}, 1000000
for n, stream in ipairs(KEYS) do
  local held = redis.pcall('XPENDING', stream, 'w', '-', '+', MOST, ARGV[1]) -- an error: there is no such stream or group yet
  local entries = {}
  for _, lease in ipairs(held) do
    local got = redis.call('XCLAIM', stream, 'w', ARGV[1], 0, lease[1], 'RETRYCOUNT', lease[4])[1]
    if got then entries[#entries + 1] = { got[1], got[2], lease[2], lease[4] } end
  end
  out[n] = entries
end
return out
