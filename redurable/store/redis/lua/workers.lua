-- Purpose: tell who works for the hub, and what each can do.
-- Invariant: writes nothing. Who beats in the future does not live (see heartbeat.lua). A key of a wrong type, which only
--   a foreign client can make, counts as empty.
-- KEYS: workers, skills.
-- ARGV: ms for which a heartbeat is fresh.
-- Returns: now, the names of the fresh workers, and of each, in the same order, its skills.
--@include _now

local time, ttl = now(), tonumber(ARGV[1])
local stale, far = string.format('%.0f', tonumber(time) - ttl), string.format('%.0f', tonumber(time) + ttl)
local fresh = redis.pcall('ZRANGEBYSCORE', KEYS[1], '(' .. stale, far)
if fresh.err then fresh = {} end
local told = {}
for index, name in ipairs(fresh) do
  local skills = redis.pcall('HGET', KEYS[2], name)
  told[index] = type(skills) == 'string' and skills or ''
end
return { time, fresh, told }
