-- create(ready, hash, start, mailbox, open, timers, it, now): a Pending instance, announced, or parked while it.wake is
-- to come (needs _keep, _index). it: instance, name, execution, number, body, wake in ms ('0' = at once), json (the
-- instance as JSON), owner (its parent, '' = none), and the keys of _index, and unknown and kept of _keep: what was kept
-- for it is its mail now.
-- Its first write (XADD, ZADD) is one that a server out of memory refuses. The caller has made sure that there is no
-- instance. Returns nil, or the server's words when one of the shared keys takes nothing: then there is no instance.
-- The first head is the execution's id: a turn of an instance that had this id before must not fit.
local function create(ready, hash, start, mailbox, open, timers, it, now)
  local later = it.wake + 0 > now + 0
  local member = later and '["u","",' .. it.wake .. ',' .. it.json .. ']'
  local first
  if later then
    first = redis.pcall('ZADD', timers, it.wake, member)
  else
    first = redis.pcall('XADD', ready, '*', 'i', it.instance)
  end
  if type(first) == 'table' then return tostring(first.err) end
  local added = redis.pcall('SADD', open, it.instance)
  if type(added) == 'table' then
    if later then redis.call('ZREM', timers, member) else redis.call('XDEL', ready, first) end
    return tostring(added.err)
  end
  redis.call('HSET', hash, 's', 'Pending', 'n', it.name, 'x', it.execution, 'k', it.number, 'h', it.execution,
    'q', later and '' or first, 't', '', 'c', now, 'u', now)
  if later then redis.call('HSET', hash, 'p', it.wake) end
  if it.owner ~= '' then redis.call('HSET', hash, 'o', it.owner) end
  if it.tagged[1] then redis.call('HSET', hash, 'g', #it.tagged) end
  redis.call('SET', start, it.body)
  adopt(it.unknown, it.kept, mailbox)
  enlist(it, now)
end
