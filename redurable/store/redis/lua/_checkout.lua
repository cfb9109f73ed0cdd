-- checkout(hash, start, mailbox, history, execution, length, tip): what a turn needs, read only. The last three are the
-- caller's cached position ('' = none). Returns {status, name, execution, head, announced, tip, parks, base, length,
-- mailbox entries, events from base on, start slot or false}; 7 values: no such instance; 9 values: damaged data, and
-- length says why. Events are cut at about 1 MB an instance and 8 MB a call; the caller pages on.
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
local function checkout(hash, start, mailbox, history, execution, known, tip)
  local row = redis.pcall('HMGET', hash, 's', 'n', 'x', 'h', 'q', 't', 'z')
  if row.err then return { false, '', '', '', '', '', false, -1, tostring(row.err) } end
  if not row[1] then return row end
  local mails = redis.pcall('XRANGE', mailbox, '-', '+', 'COUNT', 100)
  local length = redis.pcall('LLEN', history)
  local slot = length == 0 and redis.pcall('GET', start)
  local broken = mails.err or type(length) == 'table' and length.err or type(slot) == 'table' and slot.err
  if broken then
    row[8], row[9] = -1, tostring(broken)
    return row
  end
  known = tonumber(known)
  local base = 0
  if execution ~= '' and execution == row[3] and known > 0 and known <= length then
    if tip ~= row[6] then base = known - 1 elseif known == length then base = known end
  end
  row[8], row[9], row[10] = base, length, mails
  row[11] = base < length and events_from(history, base, length) or {}
  row[12] = slot
  return row
end
