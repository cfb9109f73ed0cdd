-- checkout(hash, start, mailbox, history, execution, length, tip): what a turn needs, read only. The last three are the
-- caller's cached position ('' = none). Returns {status, name, execution, head, announced, tip, parks, parked until, unread
-- events, newest control message, base, length, mailbox entries, events from base on, start slot or false, entry of that
-- message when it lies behind those entries}; 10 values: no such instance; 12 values: damaged data, and length says why.
-- Events are cut at about 1 MB an instance and 8 MB a call; the caller pages on.
local room = 8388608
local function events_from(history, base, length)
  if length - base <= 50 and room > 0 then
    local events = redis.call('LRANGE', history, base, -1)
    for i = 1, #events do room = room - #events[i] end
    return events
  end
  local events, share = {}, math.min(1048576, room)
  while base < length and share > 0 do
    local slice = redis.call('LRANGE', history, base, base + 49)
    for i = 1, #slice do
      events[#events + 1] = slice[i]
      share, room = share - #slice[i], room - #slice[i]
    end
    base = base + 50
  end
  return events
end
-- The entry of this id, when there is one and it is not among these.
local function behind(mailbox, mails, id)
  for i = 1, #mails do
    if mails[i][1] == id then return false end
  end
  return redis.pcall('XRANGE', mailbox, id, id)[1] or false
end
local function checkout(hash, start, mailbox, history, execution, known, tip)
  local row = redis.pcall('HMGET', hash, 's', 'n', 'x', 'h', 'q', 't', 'z', 'p', 'b', 'y')
  if row.err then return { false, '', '', '', '', '', false, false, false, false, -1, tostring(row.err) } end
  if not row[1] then return row end
  local mails = redis.pcall('XRANGE', mailbox, '-', '+', 'COUNT', 100)
  local length = redis.pcall('LLEN', history)
  local slot = (length == 0 or row[6] == '') and redis.pcall('GET', start)
  local broken = mails.err or type(length) == 'table' and length.err or type(slot) == 'table' and slot.err
  if broken then
    row[11], row[12] = -1, tostring(broken)
    return row
  end
  known = tonumber(known)
  local base = 0
  if execution ~= '' and execution == row[3] and known > 0 and known <= length then
    if tip ~= row[6] then base = known - 1 elseif known == length then base = known end
  end
  row[11], row[12], row[13] = base, length, mails
  row[14] = base < length and events_from(history, base, length) or {}
  row[15] = slot
  if row[10] and #mails == 100 then row[16] = behind(mailbox, mails, row[10]) end
  return row
end
