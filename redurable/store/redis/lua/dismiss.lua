-- Purpose: remove consumers from the groups.
-- Invariant: a consumer that holds an entry stays: XGROUP DELCONSUMER would take its pending entries with it.
-- KEYS: streams (ready streams, task queues).
-- ARGV: ms of silence, whom to remove ('' = all but the following), who stays...
-- Returns: the names of those removed, once per stream.

local stays = {}
for n = 3, #ARGV do stays[ARGV[n]] = true end
local out = {}
for _, stream in ipairs(KEYS) do
  for _, consumer in ipairs(redis.pcall('XINFO', 'CONSUMERS', stream, 'w')) do -- an error: nobody is there
    local facts = {}
    for at = 1, #consumer, 2 do facts[consumer[at]] = consumer[at + 1] end
    local name = facts['name']
    if (ARGV[2] == '' or ARGV[2] == name) and not stays[name]
      and facts['pending'] == 0 and facts['idle'] >= tonumber(ARGV[1]) then
      redis.call('XGROUP', 'DELCONSUMER', stream, 'w', name)
      out[#out + 1] = name
    end
  end
end
return out
