-- Purpose: end attempts of tasks, with the turns that they lead to where those were decided ahead; then receive ready
--   entries, checked out where they belong to these tasks' instances, and tasks.
-- Invariant: a task ends once: only whoever acknowledges it appends its outcome or puts it back, which is not done when
--   its execution is over. Whoever acknowledges also deletes, in the same step, so where fewer were acknowledged than
--   asked, what is gone was ended by another. Where another program deleted a task that ran, this says too little: then an
--   outcome may come twice rather than never. A turn takes the place of its outcome, or writes nothing.
-- KEYS: per partition (once) ready, timers, retries, outbox, beats; task queues (once); per end hash, start, mailbox,
--   history; those of turns as for commit.lua.
-- ARGV: number of ends, consumer, how many entries to receive, number of ready streams to receive from, how many tasks to
--   receive, then per end 14: index of queue, of ready, of hash, task id, instance, execution, body ('' = nothing), timer
--   member of a retry ('' = an outcome), its delay in ms, known execution, known length, known commit, field of stored
--   heartbeat details ('' = none), with a turn (1, 0); the turns, as the items of commit.lua; last the indexes of the ready
--   streams, and of the task queues to receive from.
-- Returns: the server's time in ms, the positions of ends that came too late, {position of the ready stream, entry id,
--   position of the end, row of _checkout}..., {position, entry}... of other instances, per turn a verdict as commit.lua,
--   and what _take returns of the tasks.
--@include _now
--@include _announce
--@include _append
--@include _take
--@include _checkout
--@include _wait
--@include _failed
local call, try = redis.call, redis.pcall
local clock = now()
--@include _end
--@include _index
--@include _moves
--@include _next
--@include _commit
--@include _ahead
local count, wanted = tonumber(ARGV[1]), tonumber(ARGV[3])
local acks, late, mine, verdicts, STRIDE, FIRST = {}, {}, {}, {}, 14, 6
for i = 1, count do
  local a = (i - 1) * STRIDE + FIRST
  local ids = acks[ARGV[a]]
  if ids then ids[#ids + 1] = ARGV[a + 3] else acks[ARGV[a]] = { ARGV[a + 3] } end
end
local over, partly = {}, false
for q, ids in pairs(acks) do
  local queue = KEYS[q + 0]
  local taken = redis.pcall('XACK', queue, 'w', unpack(ids))
  if type(taken) ~= 'number' then taken = 0 end
  if taken < #ids then
    partly = true
    local there = 0
    for i = 1, #ids do
      local name = q .. ':' .. ids[i]
      if over[name] == nil then
        over[name] = taken == 0 or not call('XRANGE', queue, ids[i], ids[i])[1]
        if not over[name] then there = there + 1 end
      end
    end
    if there < taken then
      for i = 1, #ids do over[q .. ':' .. ids[i]] = false end
    end
  end
  if taken > 0 then call('XDEL', queue, unpack(ids)) end
end

local function put_down(a, r, k)
  if ARGV[a + 7] == '' then
    if ARGV[a + 6] ~= '' then tell(r, k, ARGV[a + 4], ARGV[a + 5], ARGV[a + 6]) end
  elseif goes_on(k, ARGV[a + 5]) then
    put_back(r, KEYS[ARGV[a] + 0], ARGV[a + 6], ARGV[a + 7], ARGV[a + 8])
  end
end

local at = count * STRIDE + FIRST
for i = 1, count do
  local a = (i - 1) * STRIDE + FIRST
  mine[ARGV[a + 4]] = i
  local name = partly and ARGV[a] .. ':' .. ARGV[a + 3]
  local gone = name and over[name]
  if gone then
    late[#late + 1] = i
  else
    if name then over[name] = true end
    if ARGV[a + 12] ~= '' then redis.pcall('HDEL', KEYS[ARGV[a + 1] + 4], ARGV[a + 12]) end
  end
  local r, k, verdict = ARGV[a + 1] + 0, ARGV[a + 2] + 0, nil
  if ARGV[a + 13] == '1' then
    local row
    verdict, row = judge(at, k, gone)
    if verdict == 1 then verdict = apply[ARGV[at + 7]](at, k, row) or 1 end
    verdicts[#verdicts + 1] = verdict
    at = at + ARGV[at] + 1
  end
  if not gone and verdict ~= 1 and verdict ~= 2 then put_down(a, r, k) end
end
settle_moves()

local streams, queues, checked, others = {}, {}, {}, {}
for i = at, at + ARGV[4] - 1 do streams[#streams + 1] = KEYS[ARGV[i] + 0] end
for i = at + ARGV[4], #ARGV do queues[#queues + 1] = KEYS[ARGV[i] + 0] end
for _, got in ipairs(take(ARGV[2], wanted, streams)) do
  for _, entry in ipairs(got[2]) do
    local instance = entry[2][1] == 'i' and entry[2][2]
    local i = mine[instance]
    local a = i and (i - 1) * STRIDE + FIRST
    -- A foreign client may have written the name of an instance into the stream of another partition.
    if i and KEYS[ARGV[a + 1] + 0] == streams[got[1]] then
      local k = ARGV[a + 2] + 0
      checked[#checked + 1] = { got[1], entry[1], i,
        checkout(KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], ARGV[a + 9], ARGV[a + 10], ARGV[a + 11]) }
    else
      others[#others + 1] = { got[1], entry }
    end
  end
end
return { clock, late, checked, others, verdicts, take(ARGV[2], tonumber(ARGV[5]), queues) }
