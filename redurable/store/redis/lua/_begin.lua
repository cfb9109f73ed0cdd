-- begin(ready, open, outbox, timers, hash, start, mailbox, executions, child): a child's start message (needs _create,
-- _now). child: as in _create, and parent, refusal; whose id is taken, its parent is told, by way of the outbox of the
-- child's partition.
-- Returns sent (also for a repeat), taken (the id is taken and nobody is to be told), or '!' and the server's words.
local function begin(ready, open, outbox, timers, hash, start, mailbox, executions, child)
  local execution = redis.pcall('HGET', hash, 'x')
  if type(execution) == 'table' then return '!' .. execution.err end
  if not execution then
    local why = create(ready, hash, start, mailbox, open, timers, child, now())
    return why and '!' .. why or 'sent'
  end
  if execution == child.execution or redis.call('LINDEX', executions, 0) == child.execution then return 'sent' end
  if child.parent == '' then return 'taken' end
  redis.call('XADD', outbox, '*', 'd', child.parent, 'm', child.refusal)
  return 'sent'
end
