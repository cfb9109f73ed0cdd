-- Purpose: forget workers that were silent for long, and learn which were not.
-- Invariant: silence is measured by the server's clock.
-- KEYS: workers.
-- ARGV: ms of silence.
-- Returns: the workers that stay.
--@include _now

local silent = string.format('%.0f', tonumber(now()) - tonumber(ARGV[1]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', silent)
return redis.call('ZRANGE', KEYS[1], 0, -1)
