-- Purpose: find the task of a call that has no outcome.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, reads as absent.
-- KEYS: timers, retries, queue.
-- ARGV: timer member of the call's retry, how the body of its task begins, how many tasks of the queue to look at.
-- Returns: nil; or the task, when it comes back into its queue ('' = it is there), who holds it ('' = nobody).

local waiting = redis.pcall('HGET', KEYS[2], ARGV[1])
if type(waiting) == 'string' then
  local due = redis.pcall('ZSCORE', KEYS[1], ARGV[1])
  return { waiting, type(due) == 'string' and due or '', '' }
end
local size = string.len(ARGV[2])
local entries = redis.pcall('XRANGE', KEYS[3], '-', '+', 'COUNT', ARGV[3])
if entries.err then return false end
for _, entry in ipairs(entries) do
  local body = entry[2][2]
  if entry[2][1] == 't' and string.sub(body, 1, size) == ARGV[2] then
    local held = redis.pcall('XPENDING', KEYS[3], 'w', entry[1], entry[1], 1)
    return { body, '', not held.err and held[1] and held[1][2] or '' }
  end
end
return false
