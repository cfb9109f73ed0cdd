-- Purpose: look up the tasks that foreign workers say something of.
-- Invariant: writes nothing. Only the consumer that holds a task is heard; a key of a wrong type, which only a foreign
--   client can make, holds no task.
-- KEYS: task queues (once).
-- ARGV: per answer 3: index of its queue, id of the task, consumer.
-- Returns: per answer the fields of the task; none: that consumer does not hold it.

local out = {}
for a = 1, #ARGV, 3 do
  local queue, id = KEYS[ARGV[a] + 0], ARGV[a + 1]
  local held = redis.pcall('XPENDING', queue, 'w', id, id, 1, ARGV[a + 2]) -- an error: no such queue, or no id at all
  -- An id without its second part stands for many: it is none of ours.
  local mine = not held.err and held[1] and held[1][1] == id
  local entry = mine and redis.call('XRANGE', queue, id, id)[1]
  out[#out + 1] = entry and entry[2] or {}
end
return out
