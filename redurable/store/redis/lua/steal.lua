-- Purpose: take ready entries of partitions that others prefer, when nobody came for them.
-- Invariant: a stream is touched only when its oldest undelivered entry has waited long enough by the server's clock.
-- KEYS: ready streams.
-- ARGV: consumer, how many entries at most, wait in ms.
-- Returns: per stream a list of entries.
--@include _now
--@include _group

local left, time = tonumber(ARGV[2]), tonumber(now())
local out = {}
for n, stream in ipairs(KEYS) do
  out[n] = {}
  local first = left > 0 and redis.pcall('XRANGE', stream, '(' .. delivered(stream), '+', 'COUNT', 1)
  if first and first[1] then
    local waited = time - tonumber(string.match(first[1][1], '^%d+'))
    -- An id from the future (a foreign client's, or of a clock that was set back) says nothing: take it.
    if waited >= tonumber(ARGV[3]) or waited < 0 then
      local reply = redis.pcall('XREADGROUP', 'GROUP', 'w', ARGV[1], 'COUNT', left, 'STREAMS', stream, '>')
      if reply and reply[1] then out[n] = reply[1][2] end
      left = left - #out[n]
    end
  end
end
return out
