-- mail(start, mailbox): whether a turn has something to read. A mailbox whose entries another program deleted stays
-- behind empty, and holds no mail. One of a wrong type counts: whoever checks it out says what is wrong with it.
local function mail(start, mailbox)
  if redis.call('EXISTS', start) == 1 then return true end
  local unread = redis.pcall('XLEN', mailbox)
  return type(unread) ~= 'number' or unread > 0
end
