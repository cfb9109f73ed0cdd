-- take(consumer, budget, streams): deliver up to `budget` new entries of these streams to the consumer, in their order.
-- Creates a missing group. Returns {position in streams, entries} of each stream that had some.
local function take(consumer, budget, streams)
  local out = {}
  for i = 1, #streams do
    if budget <= 0 then break end
    local read = { 'XREADGROUP', 'GROUP', 'w', consumer, 'COUNT', budget, 'STREAMS', streams[i], '>' }
    local got = redis.pcall(unpack(read))
    if got and got.err then
      redis.pcall('XGROUP', 'CREATE', streams[i], 'w', '0', 'MKSTREAM')
      got = redis.pcall(unpack(read))
    end
    if got and not got.err and got[1] then
      local entries = got[1][2]
      out[#out + 1] = { i, entries }
      budget = budget - #entries
    end
  end
  return out
end
