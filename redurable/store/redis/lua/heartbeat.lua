-- Purpose: say that a worker lives, and learn who does.
-- Invariant: times are the server's; workers whose clocks differ agree on who is alive. Who beats in the future does not
--   live: a foreign client has put that there, or the clock was set back and the next beat is near.
-- KEYS: workers.
-- ARGV: consumer, ms for which a heartbeat is fresh.
-- Returns: now, then the fresh workers.
--@include _now

local time = now()
local ttl = tonumber(ARGV[2])
local stale, far = string.format('%.0f', tonumber(time) - ttl), string.format('%.0f', tonumber(time) + ttl)
redis.call('ZADD', KEYS[1], time, ARGV[1])
return { time, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. stale, far) }
