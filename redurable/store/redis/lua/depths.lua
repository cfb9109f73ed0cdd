-- Purpose: measure streams with a consumer group, those of one kind in all partitions together.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, counts as empty. The lag is
--   counted here: the server's own is nil after an undelivered entry was deleted, and wrong after some trims.
-- KEYS: streams, those of one kind in a row.
-- ARGV: how many streams a kind has, for how many ms a consumer counts after it was seen.
-- Returns: now, then per kind {length, lag, pending, consumers, ms of the oldest undelivered entry, ms of the oldest
--   pending one}; ms 0: there is none.
--@include _now

local per, seen = tonumber(ARGV[1]), tonumber(ARGV[2])

local function facts(reply)
  local out = {}
  for at = 1, #reply, 2 do out[reply[at]] = reply[at + 1] end
  return out
end

local function ms_of(id) return tonumber(string.match(id, '^%d+')) end

local function older(oldest, id)
  local ms = ms_of(id)
  return (oldest == 0 or ms < oldest) and ms or oldest
end

local function group_of(stream)
  for _, reply in ipairs(redis.pcall('XINFO', 'GROUPS', stream)) do
    local group = facts(reply)
    if group['name'] == 'w' then return group end
  end
  return { pending = 0, ['last-delivered-id'] = '0-0' }
end

local function count_consumers(stream, names)
  local count = 0
  for _, reply in ipairs(redis.pcall('XINFO', 'CONSUMERS', stream, 'w')) do
    local consumer = facts(reply)
    if consumer['idle'] < seen and not names[consumer['name']] then
      names[consumer['name']] = true
      count = count + 1
    end
  end
  return count
end

local function add(row, names, stream)
  local length = redis.pcall('XLEN', stream)
  if type(length) ~= 'number' then return end
  local group = group_of(stream)
  local pending, first = group['pending'], redis.pcall('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)
  row[1] = row[1] + length
  if first[1] then
    row[2] = row[2] + math.max(1, length - pending)
    row[5] = older(row[5], first[1][1])
  end
  row[3] = row[3] + pending
  row[4] = row[4] + count_consumers(stream, names)
  if pending > 0 then
    row[6] = older(row[6], redis.pcall('XPENDING', stream, 'w')[2])
  end
end

local out = { now() }
for first = 1, #KEYS, per do
  local row, names = { 0, 0, 0, 0, 0, 0 }, {}
  for at = first, first + per - 1 do add(row, names, KEYS[at]) end
  out[#out + 1] = row
end
return out
