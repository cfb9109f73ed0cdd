-- create(ready, hash, start, mailbox, open, instance, name, execution, number, body, now): a Pending instance, announced.
-- Its first write (XADD) is one that a server out of memory refuses. The caller has made sure that there is no instance.
-- The first head is the execution's id: a turn of an instance that had this id before must not fit.
local function create(ready, hash, start, mailbox, open, instance, name, execution, number, body, now)
  local id = redis.call('XADD', ready, '*', 'i', instance)
  redis.call('HSET', hash, 's', 'Pending', 'n', name, 'x', execution, 'k', number, 'h', execution, 'q', id, 't', '',
    'c', now, 'u', now)
  redis.call('SET', start, body)
  redis.call('SADD', open, instance)
  redis.call('PERSIST', mailbox)
end
