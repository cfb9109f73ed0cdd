-- Purpose: take over entries whose holders let their lease run out.
-- Invariant: an entry changes hands only when its lease ran out by the server's clock. XPENDING looks at the whole pending
--   list (XAUTOCLAIM gives up after ten times COUNT). XCLAIM forgets what a foreign client deleted from the stream.
-- KEYS: streams (ready streams or task queues), earlier ones are served first.
-- ARGV: consumer, how many entries at most, lease in ms.
-- Returns: per stream a list of entries, each with its id, its fields, who held it, and how often it was delivered.

local left = tonumber(ARGV[2])
local out = {}
for n, stream in ipairs(KEYS) do
  out[n] = {}
  local expired = left > 0 and redis.pcall('XPENDING', stream, 'w', 'IDLE', ARGV[3], '-', '+', left)
  if expired and expired[1] then -- no list: there is no such stream or group yet
    local ids, before = {}, {}
    for i = 1, math.min(#expired, 1000) do
      ids[i] = expired[i][1]
      before[ids[i]] = expired[i]
    end
    out[n] = redis.call('XCLAIM', stream, 'w', ARGV[1], ARGV[3], unpack(ids))
    for _, entry in ipairs(out[n]) do entry[3], entry[4] = before[entry[1]][2], before[entry[1]][4] + 1 end
    left = left - #out[n]
  end
end
return out
