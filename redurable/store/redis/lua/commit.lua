-- Purpose: make the turns of a batch true, each all or nothing; then receive tasks in the same step.
-- Invariant: pass 1 reads and judges, pass 2 acknowledges the accepted (so a server out of memory lets the rest pass),
--   pass 3 writes. The head is compared and set; a fenced item writes and acknowledges nothing. Within an item shared
--   streams come first and the instance last, so what fails on foreign damage leaves the instance as it was; what it has
--   put into streams by then is taken back.
-- KEYS: per partition (once) ready, timers, ended, parked, ix, updated; task queues, outboxes and the like (once); per item hash,
--   start, mailbox, history, quarantine.
-- ARGV: number of items, consumer, how many tasks to receive, then the items; last the indexes of queues to receive from.
--   Item: size (without itself), index of hash, of ready, entry id, expected head, new head, instance, kind, then
--   kind n: id after the consumed ('' = none, * = the end), start consumed (1, 0), status ('' = same), unread events (JSON,
--     '' = same), index of named (0 = no other status), E, E events, T, T x (index of queue, task), W, W x (position of the
--     task, index of retries, then member to queue as in _wait), O, O x (command, index of key, N, N arguments), index of
--     executions (0 = no next execution; the past history follows it), old execution, execution, number, name, start
--     message, index of names (0 = the same name; the new one's named follows it), how many events of the past history it
--     begins with (0 = none), the first of them ('' = none);
--   kind p (park): ms until the retry ('' = it is held), quarantine text after the time, instance as JSON, newest control
--     message that the turn knew (* = ring for none);   kind r (release): the same message.
-- Returns: the server's time in ms, per item 1 accepted, 2 already applied, 3 no such instance, 0 fenced, or which
--   key failed and why; last what _take returns.
--@include _now
--@include _take
--@include _wait
local call, try = redis.call, redis.pcall
local clock = now()
local count = tonumber(ARGV[1])
local starts, rows, out, acks = {}, {}, { clock }, {}

--@include _failed

local function judge(a)
  local row = try('HMGET', KEYS[ARGV[a + 1] + 0], 'h', 'q', 's', 't', 'z', 'p', 'y')
  if row.err then return failed(KEYS[ARGV[a + 1] + 0], row) end
  if not row[1] then return 3 end
  if row[1] ~= ARGV[a + 4] then return row[1] == ARGV[a + 5] and 2 or 0 end
  row[8] = row[7]
  local kind = ARGV[a + 7]
  local after = kind == 'n' and ARGV[a + 8] or ''
  if after == '*' or kind == 'p' then
    row[7] = false
  elseif after ~= '' then
    local left = try('XRANGE', KEYS[ARGV[a + 1] + 2], after, '+', 'COUNT', 1)
    if left.err then return failed(KEYS[ARGV[a + 1] + 2], left) end
    row[7] = left[1] ~= nil
  else
    local left = try('XLEN', KEYS[ARGV[a + 1] + 2])
    if type(left) ~= 'number' then return failed(KEYS[ARGV[a + 1] + 2], left) end
    row[7] = left > 0
  end
  return 1, row
end

--@include _index
--@include _moves
--@include _next
--@include _commit

local a = 4
for i = 1, count do
  local verdict, row = judge(a)
  starts[i], rows[i], out[i + 1] = a, row, verdict
  if verdict == 1 or verdict == 2 or verdict == 3 then
    local ready = ARGV[a + 2]
    local ids = acks[ready]
    if ids then ids[#ids + 1] = ARGV[a + 3] else acks[ready] = { ARGV[a + 3] } end
  end
  a = a + ARGV[a] + 1
end
for ready, ids in pairs(acks) do
  try('XACK', KEYS[ready + 0], 'w', unpack(ids))
  try('XDEL', KEYS[ready + 0], unpack(ids))
end
for i = 1, count do
  if out[i + 1] == 1 then out[i + 1] = apply[ARGV[starts[i] + 7]](starts[i], ARGV[starts[i] + 1] + 0, rows[i]) or 1 end
end
settle_moves()
local queues = {}
for i = a, #ARGV do queues[#queues + 1] = KEYS[ARGV[i] + 0] end
out[count + 2] = take(ARGV[2], tonumber(ARGV[3]), queues)
return out
