-- inspect(k): what is known of the instance whose hash, start, mailbox, history, custom status, quarantine stand in KEYS
-- from k on. false: there is none; else status, name, execution, number, created, updated, start slot, unread messages,
-- length of the history, its first and last event, custom status, quarantine, unread events, parked until, parks.
local function text(...)
  local value = redis.pcall(...)
  if type(value) == 'table' then return false end
  return value
end
local function inspect(k)
  local state = redis.pcall('HMGET', KEYS[k], 's', 'n', 'x', 'k', 'c', 'u', 'b', 'p', 'z')
  if not state[1] then return false end
  return {
    state[1], state[2], state[3], state[4], state[5], state[6], text('GET', KEYS[k + 1]), text('XLEN', KEYS[k + 2]) or 0,
    text('LLEN', KEYS[k + 3]) or 0, text('LINDEX', KEYS[k + 3], 0), text('LINDEX', KEYS[k + 3], -1),
    text('GET', KEYS[k + 4]), text('GET', KEYS[k + 5]), state[7], state[8], state[9],
  }
end
