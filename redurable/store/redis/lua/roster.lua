-- Purpose: learn who lives.
-- Invariant: writes nothing. Times are the server's, as in heartbeat.lua.
-- KEYS: workers.
-- ARGV: ms for which a heartbeat is fresh.
-- Returns: now, then the fresh workers.
--@include _now

local time, ttl = now(), tonumber(ARGV[1])
local stale, far = string.format('%.0f', tonumber(time) - ttl), string.format('%.0f', tonumber(time) + ttl)
return { time, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. stale, far) }
