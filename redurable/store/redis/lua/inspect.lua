-- Purpose: read what is known of an instance at a moment.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, reads as absent.
-- KEYS: hash, start, mailbox, history, custom status, quarantine.
-- ARGV: none.
-- Returns: nil when there is no such instance; else status, name, execution, number, created, updated, start slot, unread
--   messages, length of the history, its first and last event, custom status, quarantine, unread events, parked until,
--   parks.

local state = redis.pcall('HMGET', KEYS[1], 's', 'n', 'x', 'k', 'c', 'u', 'b', 'p', 'z')
if not state[1] then return false end
local function read(...)
  local value = redis.pcall(...)
  if type(value) == 'table' then return false end
  return value
end
return {
  state[1], state[2], state[3], state[4], state[5], state[6], read('GET', KEYS[2]), read('XLEN', KEYS[3]) or 0,
  read('LLEN', KEYS[4]) or 0, read('LINDEX', KEYS[4], 0), read('LINDEX', KEYS[4], -1), read('GET', KEYS[5]),
  read('GET', KEYS[6]), state[7], state[8], state[9],
}
