-- Purpose: forget workers that were silent for long, and learn which were not.
-- Invariant: silence is measured by the server's clock.
-- KEYS: workers, skills.
-- ARGV: ms of silence.
-- Returns: the workers that stay.
--@include _now

local silent = string.format('%.0f', tonumber(now()) - tonumber(ARGV[1]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', silent)
for _, worker in ipairs(redis.call('HKEYS', KEYS[2])) do
  if not redis.call('ZSCORE', KEYS[1], worker) then redis.call('HDEL', KEYS[2], worker) end
end
return redis.call('ZRANGE', KEYS[1], 0, -1)
