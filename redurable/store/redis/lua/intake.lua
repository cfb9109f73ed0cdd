-- Purpose: take out of the intake what was routed, see what other programs did to it, and read on.
-- Invariant: an intake has a number, 0 for the first one of a hub; ids of a later one are above all of an earlier one. One
--   that takes no more entries is put aside in the step that finds it so, and what lies in it is read before its successor.
--   Every entry that was ever added was routed, is still there, or is told as lost: added = taken + length.
-- KEYS: intake, the one put aside, marks, dead (all of the hub).
-- ARGV: how many entries at most, how many bytes, how many of one entry, number of the intake that was routed, ids
--   routed...
-- Returns: number of the intake that the entries lie in, the entries, one text per thing that another program did. Of an
--   entry that is too large only the beginning, and behind it how many bytes it has.
--@include _now
--@include _above

local intake, aside, marks, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local LAST, AT_ONCE, MOST_PARTS = '18446744073709551615-18446744073709551615', 16, 20000
local stored = redis.call('HMGET', marks, 'intake:number', 'intake:taken', 'intake:last')
local number, taken, last = tonumber(stored[1] or 0), tonumber(stored[2] or nil), stored[3] or '0-0'
local before, told = table.concat({ number, taken or '', last }, ' '), {}

local function facts(key)
  local found = { length = 0, added = 0, last = '0-0' }
  if redis.call('EXISTS', key) == 0 then return found end
  local flat = redis.call('XINFO', 'STREAM', key)
  local names = { ['length'] = 'length', ['entries-added'] = 'added', ['last-generated-id'] = 'last' }
  for at = 1, #flat, 2 do
    if names[flat[at]] then found[names[flat[at]]] = flat[at + 1] end
  end
  return found
end

local function follow()
  number, taken, last = number + 1, 0, '0-0'
end

-- A whole entry of hundreds of megabytes would not reach its reader in time, and be asked for again and again.
local function brief(entry)
  local size, kept = 0, {}
  for _, part in ipairs(entry[2]) do size = size + #part end
  local room = tonumber(ARGV[3])
  if size <= room and #entry[2] <= MOST_PARTS then return entry, size end
  for at = 1, math.min(#entry[2], MOST_PARTS) do
    kept[at] = string.sub(entry[2][at], 1, room)
    room = room - #kept[at]
  end
  return { entry[1], kept, size }, tonumber(ARGV[3]) - room
end

if #ARGV > 4 then
  local routed = ARGV[4] + 0
  if routed == number then taken = (taken or 0) + redis.call('XDEL', intake, unpack(ARGV, 5)) end
  if routed == number - 1 then redis.call('XDEL', aside, unpack(ARGV, 5)) end
end
local at = facts(intake)
if taken and (at.added - at.length < taken or above(last, at.last)) then
  told[#told + 1] = 'another program deleted the intake; what lay in it unread is lost'
  follow()
end
if taken and at.added - at.length > taken then
  local lost = string.format('%.0f', at.added - at.length - taken)
  told[#told + 1] = lost .. ' intake entries are lost: another program removed them before they were routed '
    .. '(XADD with MAXLEN or MINID, XTRIM, XDEL)'
end
taken, last = at.added - at.length, at.last
local rest = facts(aside)
if rest.length == 0 and redis.call('EXISTS', aside) == 1 then redis.call('DEL', aside) end
if at.last == LAST and rest.length == 0 then
  told[#told + 1] = 'another program used up the ids of the intake (an entry with the greatest id); it was put aside, a new '
    .. 'one begins, and what lay in it is routed first'
  if at.length > 0 then redis.call('RENAME', intake, aside) else redis.call('DEL', intake) end
  rest, at = at, facts(intake)
  follow()
end
if before ~= table.concat({ number, taken, last }, ' ') then
  redis.call('HSET', marks, 'intake:number', number, 'intake:taken', taken, 'intake:last', last)
end
for _, text in ipairs(told) do
  redis.pcall('XADD', dead, '*', 'reason', text, 'instance', '', 'at', now())
end

local source, entries, bytes, from = rest.length > 0 and aside or intake, {}, 0, '-'
local most, room = tonumber(ARGV[1]), tonumber(ARGV[2])
while #entries < most and bytes < room do
  local page = redis.call('XRANGE', source, from, '+', 'COUNT', math.min(AT_ONCE, most - #entries))
  for _, entry in ipairs(page) do
    local sent, size = brief(entry)
    entries[#entries + 1] = sent
    bytes = bytes + size
  end
  if #page < AT_ONCE then break end
  from = '(' .. page[#page][1]
end
return { source == aside and number - 1 or number, entries, told }
