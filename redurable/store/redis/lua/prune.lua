-- Purpose: forget past executions of an instance that are not to be kept.
-- Invariant: the first execution stays, and what is deleted is what stands behind it in the list now.
-- KEYS: executions, past histories...
-- ARGV: how many of the last past executions stay, then the executions of those histories.
-- Returns: 1 when they are gone, 0 when the list was another one.
--@include _forget

local call = redis.call
local count = #KEYS - 1
local listed = call('LRANGE', KEYS[1], 0, count)
if call('LLEN', KEYS[1]) - count - 1 < tonumber(ARGV[1]) then return 0 end
for i = 1, count do
  if listed[i + 1] ~= ARGV[i + 1] then return 0 end
end
forget(KEYS[1], 2, #KEYS)
return 1
