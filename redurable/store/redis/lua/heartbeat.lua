-- Purpose: say that a worker lives, and learn who does.
-- Invariant: times are the server's; workers whose clocks differ agree on who is alive.
-- KEYS: workers.
-- ARGV: consumer, ms for which a heartbeat is fresh.
-- Returns: now, then the fresh workers.
--@include _now

local time = now()
local stale = string.format('%.0f', tonumber(time) - tonumber(ARGV[2]))
redis.call('ZADD', KEYS[1], time, ARGV[1])
return { time, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. stale, '+inf') }
