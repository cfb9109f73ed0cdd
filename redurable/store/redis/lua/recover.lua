-- Purpose: read all that a consumer holds; a reply that never arrived leaves entries with it that it does not know of.
-- Invariant: nothing changes hands. Entries that a foreign client deleted from the stream are acknowledged.
-- KEYS: streams (ready streams, task queues).
-- ARGV: consumer.
-- Returns: per stream a list of entries.

local out = {}
for n, stream in ipairs(KEYS) do
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'w', ARGV[1], 'STREAMS', stream, '0')
  local entries = {}
  if reply and not reply.err and reply[1] then -- an error: there is no such stream or group yet
    for _, entry in ipairs(reply[1][2]) do
      if entry[2] then entries[#entries + 1] = entry else redis.call('XACK', stream, 'w', entry[1]) end
    end
  end
  out[n] = entries
end
return out
