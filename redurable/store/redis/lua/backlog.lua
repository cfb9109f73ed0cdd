-- Purpose: count what waits in a hub beside its consumer groups, and its open instances.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, counts as empty.
-- KEYS: intake, dead letters, then of each partition: outbox, answers, timers, open instances.
-- ARGV: none.
-- Returns: {intake, dead letters, outbox, answers, timers, timers that are due, open instances}.
--@include _now

local function try(...)
  local number = redis.pcall(...)
  return type(number) == 'number' and number or 0
end

local time = now()
local out = { try('XLEN', KEYS[1]), try('XLEN', KEYS[2]), 0, 0, 0, 0, 0 }
for at = 3, #KEYS, 4 do
  out[3] = out[3] + try('XLEN', KEYS[at])
  out[4] = out[4] + try('XLEN', KEYS[at + 1])
  out[5] = out[5] + try('ZCARD', KEYS[at + 2])
  out[6] = out[6] + try('ZCOUNT', KEYS[at + 2], '-inf', time)
  out[7] = out[7] + try('SCARD', KEYS[at + 3])
end
return out
