-- keep(unknown, kept, mailbox, id, body): an event whose instance does not exist (needs _now). unknown: the hub's rule, as
-- it lies in this partition; kept: event ids -> when. The first write is one that a server out of memory refuses.
-- Returns kept (also for an id that is), dropped, buried and why (the caller buries it), or '!' and the server's words.
local function rule_of(unknown)
  local rule = redis.pcall('HMGET', unknown, 'rule', 'keep_ms', 'most')
  return rule[1] or 'keep', tonumber(rule[2] or '') or 604800000, tonumber(rule[3] or '') or 1000
end
local function keep(unknown, kept, mailbox, id, body)
  local rule, ttl, most = rule_of(unknown)
  if rule == 'drop' then return 'dropped' end
  if rule == 'dead-letter' then return 'buried', 'no such instance' end
  local clock = now()
  local expired = string.format('%.0f', clock - ttl)
  local since = id ~= '' and redis.pcall('ZSCORE', kept, id)
  if type(since) == 'string' and tonumber(since) > tonumber(expired) then return 'kept' end
  local added = redis.pcall('XADD', mailbox, '*', 'm', body)
  if type(added) == 'table' then return '!' .. tostring(added.err) end
  redis.call('XTRIM', mailbox, 'MINID', string.format('%.0f', expired + 1))
  if redis.call('XLEN', mailbox) > most then
    redis.call('XDEL', mailbox, added)
    return 'buried', 'no such instance, and too many events wait for it'
  end
  redis.call('PEXPIRE', mailbox, ttl)
  if id ~= '' and type(redis.pcall('ZADD', kept, clock, id)) == 'number' then
    redis.call('ZREMRANGEBYSCORE', kept, '-inf', expired)
    redis.call('PEXPIRE', kept, ttl)
  end
  return 'kept'
end
-- adopt(unknown, kept, mailbox): an instance begins. What was kept for it is its mail now; what waited too long goes.
local function adopt(unknown, kept, mailbox)
  if redis.call('PERSIST', mailbox) == 0 then return end
  redis.call('DEL', kept)
  local _, ttl = rule_of(unknown)
  redis.pcall('XTRIM', mailbox, 'MINID', string.format('%.0f', now() - ttl + 1))
  if redis.pcall('XLEN', mailbox) == 0 then redis.call('DEL', mailbox) end
end
