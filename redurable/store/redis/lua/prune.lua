-- Purpose: forget past executions of an instance that are not to be kept.
-- Invariant: the first execution stays, because a repeated start is known by it, and what is deleted is what stands
--   behind it in the list now.
-- KEYS: executions, past histories...
-- ARGV: how many of the last past executions stay, then the executions of those histories.
-- Returns: 1 when they are gone, 0 when the list was another one.

local call = redis.call
local count = #KEYS - 1
local listed = call('LRANGE', KEYS[1], 0, count)
if call('LLEN', KEYS[1]) - count - 1 < tonumber(ARGV[1]) then return 0 end
for i = 1, count do
  if listed[i + 1] ~= ARGV[i + 1] then return 0 end
end
call('UNLINK', unpack(KEYS, 2))
call('LTRIM', KEYS[1], count + 1, -1)
call('LPUSH', KEYS[1], listed[1])
return 1
