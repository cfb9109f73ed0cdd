-- Purpose: say that a worker lives, and what it can do; learn who else lives.
-- Invariant: times are the server's; workers whose clocks differ agree on who is alive. Who beats in the future does not
--   live: a foreign client has put that there, or the clock was set back and the next beat is near.
-- KEYS: workers, skills.
-- ARGV: consumer, ms for which a heartbeat is fresh, its skills.
-- Returns: now, then the fresh workers.
--@include _now

local time = now()
local ttl = tonumber(ARGV[2])
local stale, far = string.format('%.0f', tonumber(time) - ttl), string.format('%.0f', tonumber(time) + ttl)
redis.call('ZADD', KEYS[1], time, ARGV[1])
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[3] then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
return { time, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. stale, far) }
