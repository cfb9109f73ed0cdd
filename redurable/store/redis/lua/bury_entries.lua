-- Purpose: take entries that cannot be read out of ready streams and task queues, and send them to the dead letters.
-- Invariant: acknowledged, deleted and put into the outbox in one step, so once whoever calls. One whose outbox another
--   program wrote over stays held, and is tried again when its lease runs out.
-- KEYS: per entry its stream, the outbox of its partition.
-- ARGV: per entry 3: id, reason, its fields packed.
-- Returns: how many were buried.
local buried = 0
for i = 0, #KEYS / 2 - 1 do
  local stream, outbox, id = KEYS[i * 2 + 1], KEYS[i * 2 + 2], ARGV[i * 3 + 1]
  local kind = redis.call('TYPE', outbox)['ok']
  if (kind == 'stream' or kind == 'none') and redis.call('XACK', stream, 'w', id) == 1 then
    redis.call('XDEL', stream, id)
    redis.call('XADD', outbox, '*', 'dead', ARGV[i * 3 + 2], 'i', '', 'o', ARGV[i * 3 + 3])
    buried = buried + 1
  end
end
return buried
