-- Purpose: take tasks that cannot be read out of their queues and send them to the dead letters.
-- Invariant: acknowledged, deleted and put into the outbox in one step, so once whoever calls.
-- KEYS: per task its queue, the outbox of its partition.
-- ARGV: per task 3: id, reason, its fields packed.
-- Returns: how many were buried.
local buried = 0
for i = 0, #KEYS / 2 - 1 do
  local queue, id = KEYS[i * 2 + 1], ARGV[i * 3 + 1]
  if redis.call('XACK', queue, 'w', id) == 1 then
    redis.call('XDEL', queue, id)
    redis.call('XADD', KEYS[i * 2 + 2], '*', 'dead', ARGV[i * 3 + 2], 'i', '', 'o', ARGV[i * 3 + 3])
    buried = buried + 1
  end
end
return buried
