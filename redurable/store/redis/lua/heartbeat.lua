-- Purpose: say that a worker lives, and what it can do; learn who else lives. Once a second is often enough to see, too,
--   whether the hub is still the one that the worker serves: the server may have come back without its data.
-- Invariant: times are the server's; workers whose clocks differ agree on who is alive. Who beats in the future does not
--   live: a foreign client has put that there, or the clock was set back and the next beat is near. A lost description of
--   the hub is written as it was, before a client makes another one; whoever serves another hub than there is, is not
--   noted as alive.
-- KEYS: workers, skills, meta.
-- ARGV: consumer, ms for which a heartbeat is fresh, its skills, format and number of partitions that it knows.
-- Returns: now, the fresh workers, {format, partitions} as they are stored.
--@include _now

local time = now()
local ttl = tonumber(ARGV[2])
local stale, far = string.format('%.0f', tonumber(time) - ttl), string.format('%.0f', tonumber(time) + ttl)
local there = redis.call('TYPE', KEYS[3]).ok
local stored = { ARGV[4], ARGV[5] } -- of a key that somebody wrote over: what is known is as good
if there == 'hash' then stored = redis.call('HMGET', KEYS[3], 'format', 'partitions') end
if stored[1] ~= ARGV[4] or stored[2] ~= ARGV[5] then return { time, {}, stored } end
if there == 'none' then
  redis.call('HSET', KEYS[3], 'format', ARGV[4], 'partitions', ARGV[5], 'created', time)
end
redis.call('ZADD', KEYS[1], time, ARGV[1])
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[3] then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
return { time, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. stale, far), stored }
