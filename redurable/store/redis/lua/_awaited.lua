-- awaited(hash, mailbox): whether a parent that was rewound has asked the instance to go on, and that is still unread.
-- may_go(hash, mailbox): whether a finished instance may be deleted; one that is quarantined cannot read it.
local function awaited(hash, mailbox)
  local mark = redis.pcall('HGET', hash, 'w')
  return type(mark) == 'string' and redis.pcall('XRANGE', mailbox, mark, mark)[1] ~= nil
end
local function may_go(hash, mailbox)
  return redis.call('HEXISTS', hash, 'z') == 1 or not awaited(hash, mailbox)
end
