-- create(ready, hash, start, mailbox, open, instance, name, execution, number, body, now): a Pending instance, announced.
-- Its first write (XADD) is one that a server out of memory refuses. The caller has made sure that there is no instance.
-- Returns nil, or the server's words when the ready stream or the open set takes nothing: then there is no instance.
-- The first head is the execution's id: a turn of an instance that had this id before must not fit.
local function create(ready, hash, start, mailbox, open, instance, name, execution, number, body, now)
  local id = redis.pcall('XADD', ready, '*', 'i', instance)
  if type(id) == 'table' then return tostring(id.err) end
  local added = redis.pcall('SADD', open, instance)
  if type(added) == 'table' then
    redis.call('XDEL', ready, id)
    return tostring(added.err)
  end
  redis.call('HSET', hash, 's', 'Pending', 'n', name, 'x', execution, 'k', number, 'h', execution, 'q', id, 't', '',
    'c', now, 'u', now)
  redis.call('SET', start, body)
  redis.call('PERSIST', mailbox)
end
