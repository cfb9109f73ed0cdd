-- Purpose: read the timers of several partitions that are due until the server's time plus a horizon.
-- Invariant: writes nothing; the horizon is measured by the server's clock.
-- KEYS: the timer sets.
-- ARGV: horizon in ms, count per partition.
-- Returns: now, then per partition {member, due, member, due, ...}, earliest first; nil for a set that another program
--   wrote over.
--@include _now

local time = now()
local until_ms = string.format('%.0f', tonumber(time) + tonumber(ARGV[1]))
local out = { time }
for i = 1, #KEYS do
  local due = redis.pcall('ZRANGEBYSCORE', KEYS[i], '-inf', until_ms, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
  out[i + 1] = not due.err and due
end
return out
