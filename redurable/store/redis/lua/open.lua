-- Purpose: create a hub or join it.
-- Invariant: format and number of partitions are written once and never changed.
-- KEYS: meta.
-- ARGV: format, number of partitions of a new hub.
-- Returns: {format, partitions} as they are stored.
--@include _now
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'partitions', ARGV[2], 'created', now())
end
return redis.call('HMGET', KEYS[1], 'format', 'partitions')
