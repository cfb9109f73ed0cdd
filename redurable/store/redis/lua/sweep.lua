-- Purpose: announce instances of one partition that have mail nobody was told of.
-- Invariant: a bell that still rings is left alone: its entry is undelivered, or pending. Parked instances sleep, except
--   those whose wake-up is overdue: their timer is lost.
-- KEYS: ready, then per instance 3: hash, start, mailbox.
-- ARGV: how long overdue in ms, then the instances.
-- Returns: how many were announced.
--@include _announce
--@include _now
--@include _above
--@include _group
--@include _mail

local ready, time = KEYS[1], tonumber(now())
local handed_out = delivered(ready)

local function rings(id)
  if id == '' or not string.find(id, '^%d+-%d+$') then return false end
  if above(id, handed_out) then return #redis.call('XRANGE', ready, id, id) > 0 end
  return #redis.call('XPENDING', ready, 'w', id, id, 1) > 0
end

local function sleeps(hash, until_ms)
  if not until_ms then return false end
  if (tonumber(until_ms) or 0) + tonumber(ARGV[1]) > time then return true end
  redis.call('HDEL', hash, 'p')
  return false
end

local count = 0
for n = 2, #ARGV do
  local k = (n - 2) * 3 + 1
  if mail(KEYS[k + 2], KEYS[k + 3]) then
    local state = redis.pcall('HMGET', KEYS[k + 1], 's', 'q', 'p')
    if state[1] and not sleeps(KEYS[k + 1], state[3]) and not rings(state[2] or '') then
      announce(ready, KEYS[k + 1], ARGV[n])
      count = count + 1
    end
  end
end
return count
