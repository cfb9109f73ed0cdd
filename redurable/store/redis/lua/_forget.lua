-- forget(executions, from, to): the oldest past executions, behind the first in the list, whose histories are KEYS[from]
-- to KEYS[to]. The first one stays, because a repeated start is known by it.
local function forget(executions, from, to)
  local first = redis.call('LINDEX', executions, 0)
  redis.call('UNLINK', unpack(KEYS, from, to))
  redis.call('LTRIM', executions, to - from + 2, -1)
  redis.call('LPUSH', executions, first)
end
