-- apply[kind](a, k, row): the writes of an accepted item (needs _wait, _moves, _next, call, try, failed, clock; layout: commit.lua).
-- row: head, announced, status, tip, parks, parked until, mail left in the mailbox, newest control message. Returns why it
-- failed, or nil.
local apply = {}
local NEVER = '9007199254740992' -- until then waits what waits to be redriven

-- A new ready entry when there is mail; '' when not, or when the stream takes none (then the sweeper tries again).
local function ring(a, mail)
  local id = mail and try('XADD', KEYS[ARGV[a + 2] + 0], '*', 'i', ARGV[a + 6])
  return type(id) == 'string' and id or ''
end

-- Whether a control message came since the checkout: a parked instance hears it now.
local function called(row, heard)
  return row[8] and heard ~= '*' and row[8] ~= heard
end

function apply.r(a, k, row)
  if row[2] ~= '' and row[2] ~= ARGV[a + 3] then return end
  local mail = not row[6] and (row[7] or call('EXISTS', KEYS[k + 1]) == 1)
  call('HSET', KEYS[k], 'h', ARGV[a + 5], 'q', ring(a, called(row, ARGV[a + 8]) or mail))
end

function apply.p(a, k, row)
  local held, parks = ARGV[a + 8] == '', math.abs(tonumber(row[5]) or 0) + 1
  local wake = held and NEVER or string.format('%.0f', clock + ARGV[a + 8])
  if not held then
    local timers = KEYS[ARGV[a + 2] + 1]
    local added = try('ZADD', timers, wake, '["u","",' .. wake .. ',' .. ARGV[a + 10] .. ']')
    if type(added) == 'table' then return failed(timers, added) end
  end
  local before = try('GET', KEYS[k + 4])
  local since = type(before) == 'string' and string.match(before, '^{"since":(%d+)') or clock
  call('SET', KEYS[k + 4], '{"since":' .. since .. ARGV[a + 9])
  if not before then move(KEYS[ARGV[a + 2] + 3], call('HGET', KEYS[k], 'c') or 0, ARGV[a + 6]) end
  move(KEYS[ARGV[a + 2] + 5], clock, ARGV[a + 6])
  local flag = ring(a, called(row, ARGV[a + 11]))
  call('HSET', KEYS[k], 'h', ARGV[a + 5], 'q', flag, 'p', wake, 'z', held and -parks or parks, 'u', clock)
end

local function push(history, first, last)
  for from = first, last, 1000 do
    local length = try('RPUSH', history, unpack(ARGV, from, math.min(from + 999, last)))
    if type(length) == 'table' then return failed(history, length) end
  end
end

local function waiting(at)
  return { ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], clock }
end

-- made: index of stream and id, one after the other.
local function take_back(made, why)
  for i = 1, #made, 2 do call('XDEL', KEYS[made[i] + 0], made[i + 1]) end
  return why
end

function apply.n(a, k, row)
  local events = ARGV[a + 13] + 0
  local at = a + 14 + events
  local last = at + 2 * ARGV[at]
  local made = {}
  for j = at + 1, last, 2 do
    local id = try('XADD', KEYS[ARGV[j] + 0], '*', 't', ARGV[j + 1])
    if type(id) == 'table' then return take_back(made, failed(KEYS[ARGV[j] + 0], id)) end
    made[#made + 1] = ARGV[j]
    made[#made + 1] = id
  end
  at = last + 2
  for _ = 1, ARGV[last + 1] + 0 do
    local why = wait(KEYS[ARGV[a + 2] + 1], KEYS[ARGV[at + 1] + 0], made[2 * ARGV[at]], unpack(waiting(at)))
    if why then return take_back(made, why) end
    at = at + 6
  end
  at = at + 1
  for _ = 1, ARGV[at - 1] + 0 do
    local size = ARGV[at + 2] + 0
    local done = try(ARGV[at], KEYS[ARGV[at + 1] + 0], unpack(ARGV, at + 3, at + 2 + size))
    if type(done) == 'table' and done.err then return take_back(made, failed(KEYS[ARGV[at + 1] + 0], done)) end
    if ARGV[at] == 'XADD' then
      made[#made + 1] = ARGV[at + 1]
      made[#made + 1] = done
    end
    at = at + 3 + size
  end
  local past = ARGV[at] ~= '0' and KEYS[ARGV[at] + 0]
  local ended = past and try('RPUSH', past, ARGV[at + 1])
  if type(ended) == 'table' then return take_back(made, failed(past, ended)) end
  local why = events > 0 and push(KEYS[k + 3], a + 14, a + 13 + events)
  if why then
    if past then call('RPOP', past) end
    return take_back(made, why)
  end
  local after, begun, mail = ARGV[a + 8], ARGV[a + 9] == '1', row[7]
  local all = after ~= '' and not mail
  if after ~= '' and mail then call('XTRIM', KEYS[k + 2], 'MINID', after) end
  if all and begun then call('DEL', KEYS[k + 2], KEYS[k + 1]) elseif all or begun then call('DEL', KEYS[k + (all and 2 or 1)]) end
  if not begun and not mail and row[4] == '' then mail = call('EXISTS', KEYS[k + 1]) == 1 end
  local tip = events > 0 and ARGV[a + 5] or row[4]
  if past then
    succeed(k, at)
    tip, mail = '', true
  end
  local named, renamed = named_now(a, past and at)
  local flag = row[2]
  if flag == '' or flag == ARGV[a + 3] then flag = ring(a, mail) end
  local status = ARGV[a + 10] ~= '' and ARGV[a + 10] or row[3]
  local set = { 'h', ARGV[a + 5], 't', tip, 'u', clock, 'q', flag, 's', status }
  if ARGV[a + 11] ~= '' then set[11], set[12] = 'b', ARGV[a + 11] end
  call('HSET', KEYS[k], unpack(set))
  move(KEYS[ARGV[a + 2] + 5], clock, ARGV[a + 6])
  if status ~= row[3] or renamed then list_anew(a, k, status, named) end
  if row[5] or row[6] or row[8] then
    call('HDEL', KEYS[k], 'p', 'z', 'y')
    call('DEL', KEYS[k + 4])
    try('ZREM', KEYS[ARGV[a + 2] + 3], ARGV[a + 6])
  end
end
