-- Purpose: read what must be known to delete an instance: where else it is listed, and its oldest past executions.
-- Invariant: writes nothing. The start message and the first event are read only for what has tags, which stand there.
-- KEYS: hash, executions, start, history.
-- ARGV: how many past executions to read.
-- Returns: nil when there is no such instance; else status, execution, name ('' = another program took them), its parent
--   ('' = none), the oldest past executions, how many there are in all, start message, first event.

local it = redis.call('HMGET', KEYS[1], 's', 'x', 'n', 'o', 'g')
if not it[1] then return false end
local function read(...)
  local value = it[5] and redis.pcall(...)
  return type(value) == 'string' and value or ''
end
return {
  it[1], it[2] or '', it[3] or '', it[4] or '', redis.call('LRANGE', KEYS[2], 0, ARGV[1] - 1),
  redis.call('LLEN', KEYS[2]), read('GET', KEYS[3]), read('LINDEX', KEYS[4], 0),
}
