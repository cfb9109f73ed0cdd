-- append(ready, hash, mailbox, instance, kind, execution, body): one message into a mailbox (needs _announce before it).
-- kind: e = external event, c = control (terminate, suspend, resume), r = a parent was rewound (reaches a finished instance,
-- too), m = anything else. body: the field m.
-- Returns sent, missing, finished or stale; '!' and the server's words when the mailbox takes no entry (an exhausted id, a
-- wrong type, out of memory): nothing is written then.
local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
local function append(ready, hash, mailbox, instance, kind, execution, body)
  local at = redis.pcall('HMGET', hash, 's', 'x', 'q', 'p')
  if at.err then return '!' .. tostring(at.err) end
  if not at[1] then return 'missing' end
  if finished[at[1]] and kind ~= 'r' then return 'finished' end
  if execution ~= '' and execution ~= at[2] then return 'stale' end
  local id = redis.pcall('XADD', mailbox, '*', 'm', body)
  if type(id) == 'table' then return '!' .. tostring(id.err) end
  if kind == 'c' then redis.call('HSET', hash, 'y', id) elseif kind == 'r' then redis.call('HSET', hash, 'w', id) end
  if at[3] == '' and (not at[4] or kind == 'c') then announce(ready, hash, instance) end
  return 'sent'
end
