"""The floor's Lua: the commands that the engine's scripts send for the same step, without their checks and without
what these workloads do not need (timers, outboxes, parking, damaged data).
"""

from __future__ import annotations

TAKE = """
local function take(group_consumer, budget, first)
  local out = {}
  for i = first, #KEYS do
    if budget <= 0 then break end
    local got = redis.call('XREADGROUP', 'GROUP', 'w', group_consumer, 'COUNT', budget, 'STREAMS', KEYS[i], '>')
    if got then
      for _, entry in ipairs(got[1][2]) do out[#out + 1] = entry end
      budget = budget - #got[1][2]
    end
  end
  return out
end
"""

CHECKOUT_ONE = """
local function checkout(hash, start, mailbox, history, known)
  local row = redis.call('HMGET', hash, 's', 'n', 'x', 'h', 'q', 't', 'z')
  local mails = redis.call('XRANGE', mailbox, '-', '+', 'COUNT', 100)
  local length = redis.call('LLEN', history)
  local slot = length == 0 and redis.call('GET', start)
  local events = {}
  if length > known then events = redis.call('LRANGE', history, known, -1) end
  return { row[4], mails, slot, events }
end
"""

# KEYS per instance: ready, hash, start, mailbox, open. ARGV: now, then per instance: id, execution, message.
START = """
local call = redis.call
for i = 0, #KEYS / 5 - 1 do
  local k, a = i * 5, i * 3 + 1
  call('HMGET', KEYS[k + 2], 's', 'x')
  local id = call('XADD', KEYS[k + 1], '*', 'i', ARGV[a + 1])
  call('HSET', KEYS[k + 2], 's', 'Pending', 'n', 'hello_sequence', 'x', ARGV[a + 2], 'k', 1, 'h', '', 'q', id, 't', '',
    'c', ARGV[1], 'u', ARGV[1])
  call('SET', KEYS[k + 3], ARGV[a + 3])
  call('SADD', KEYS[k + 5], ARGV[a + 1])
  call('PERSIST', KEYS[k + 4])
end
"""

# KEYS: ready streams. ARGV: consumer, budget.
RECEIVE = f"""{TAKE}
return take(ARGV[1], ARGV[2] + 0, 1)
"""

# KEYS per entry: hash, start, mailbox, history. ARGV: per entry the known length.
CHECKOUT = f"""{CHECKOUT_ONE}
local out = {{}}
for i = 0, #KEYS / 4 - 1 do
  out[i + 1] = checkout(KEYS[i * 4 + 1], KEYS[i * 4 + 2], KEYS[i * 4 + 3], KEYS[i * 4 + 4], ARGV[i + 1] + 0)
end
return out
"""

# KEYS: per turn hash, start, mailbox, history, ready, tasks, open, feed; then the task queues to receive from.
# ARGV: number of turns, consumer, budget, now, then per turn: entry id, expected head, new head, instance,
#   id after the consumed ('' = the start slot), execution, finished (1, 0), E, E events, T, T tasks.
COMMIT = f"""{TAKE}
local call = redis.call
local count, now = ARGV[1] + 0, ARGV[4]
local at, starts, rows, acks = 5, {{}}, {{}}, {{}}
for i = 1, count do
  local k = (i - 1) * 8
  starts[i] = at
  local row = call('HMGET', KEYS[k + 1], 'h', 'q', 's', 't', 'z', 'p')
  if row[1] ~= ARGV[at + 1] then return redis.error_reply('fenced') end
  local after = ARGV[at + 4]
  if after == '' then
    row[7] = call('XLEN', KEYS[k + 3]) > 0
  else
    row[7] = call('XRANGE', KEYS[k + 3], after, '+', 'COUNT', 1)[1] ~= nil
  end
  rows[i] = row
  local ids = acks[KEYS[k + 5]]
  if ids then ids[#ids + 1] = ARGV[at] else acks[KEYS[k + 5]] = {{ ARGV[at] }} end
  at = at + 8 + ARGV[at + 7]
  at = at + 1 + ARGV[at]
end
for ready, ids in pairs(acks) do
  call('XACK', ready, 'w', unpack(ids))
  call('XDEL', ready, unpack(ids))
end
for i = 1, count do
  local k, a, row = (i - 1) * 8, starts[i], rows[i]
  local events = ARGV[a + 7] + 0
  local tasks = a + 8 + events
  for j = tasks + 1, tasks + ARGV[tasks] do call('XADD', KEYS[k + 6], '*', 't', ARGV[j]) end
  for j = a + 8, a + 7 + events, 1000 do
    call('RPUSH', KEYS[k + 4], unpack(ARGV, j, math.min(j + 999, a + 7 + events)))
  end
  if ARGV[a + 4] == '' then
    call('DEL', KEYS[k + 2])
  elseif row[7] then
    call('XTRIM', KEYS[k + 3], 'MINID', ARGV[a + 4])
  else
    call('DEL', KEYS[k + 3])
  end
  local flag = row[2]
  if flag == '' or flag == ARGV[a] then flag = row[7] and call('XADD', KEYS[k + 5], '*', 'i', ARGV[a + 3]) or '' end
  local status = 'Running'
  if ARGV[a + 6] == '1' then
    status = 'Completed'
    call('XADD', KEYS[k + 8], 'MAXLEN', '~', 1000, '*', 'i', ARGV[a + 3], 'x', ARGV[a + 5], 's', status)
    call('SREM', KEYS[k + 7], ARGV[a + 3])
  end
  call('HSET', KEYS[k + 1], 'h', ARGV[a + 2], 't', ARGV[a + 2], 'u', now, 'q', flag, 's', status)
end
return take(ARGV[2], ARGV[3] + 0, count * 8 + 1)
"""

# KEYS: per end task queue, ready, hash, start, mailbox, history; then the ready streams to receive from.
# ARGV: number of ends, consumer, budget, then per end: task id, instance, message, known length.
COMPLETE = f"""{TAKE}{CHECKOUT_ONE}
local call = redis.call
local count = ARGV[1] + 0
local acks, mine, checked, others = {{}}, {{}}, {{}}, {{}}
for i = 1, count do
  local queue, a = KEYS[(i - 1) * 6 + 1], i * 4
  local ids = acks[queue]
  if ids then ids[#ids + 1] = ARGV[a] else acks[queue] = {{ ARGV[a] }} end
end
for queue, ids in pairs(acks) do
  call('XACK', queue, 'w', unpack(ids))
  call('XDEL', queue, unpack(ids))
end
for i = 1, count do
  local k, a = (i - 1) * 6, i * 4
  local row = call('HMGET', KEYS[k + 3], 's', 'x', 'q', 'p')
  call('XADD', KEYS[k + 5], '*', 'm', ARGV[a + 2])
  if row[3] == '' then call('HSET', KEYS[k + 3], 'q', call('XADD', KEYS[k + 2], '*', 'i', ARGV[a + 1])) end
  mine[ARGV[a + 1]] = i
end
for _, entry in ipairs(take(ARGV[2], ARGV[3] + 0, count * 6 + 1)) do
  local i = mine[entry[2][2]]
  if i then
    local k = (i - 1) * 6
    local row = checkout(KEYS[k + 3], KEYS[k + 4], KEYS[k + 5], KEYS[k + 6], ARGV[i * 4 + 3] + 0)
    checked[#checked + 1] = {{ entry, row }}
  else
    others[#others + 1] = entry
  end
end
return {{ checked, others }}
"""
