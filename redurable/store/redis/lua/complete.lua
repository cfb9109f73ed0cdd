-- Purpose: end attempts of tasks; then receive ready entries, checked out where they belong to these tasks' instances.
-- Invariant: a task ends once: only whoever acknowledges it appends its outcome or puts it back, which is not done when
--   its execution is over. Whoever acknowledges also deletes, in the same step, so where fewer were acknowledged than
--   asked, what is gone was ended by another. Where another program deleted a task that ran, this says too little: then an
--   outcome may come twice rather than never.
-- KEYS: per partition (once) ready, timers, retries, outbox, beats; task queues (once); per end hash, start, mailbox,
--   history.
-- ARGV: number of ends, consumer, how many entries to receive, then per end 13: index of queue, of ready, of hash, task id,
--   instance, execution, body ('' = nothing), timer member of a retry ('' = an outcome), its delay in ms, known
--   execution, known length, known commit, field of stored heartbeat details ('' = none); last the indexes of the ready
--   streams to receive from.
-- Returns: the server's time in ms, the positions of ends that came too late, {position of the ready stream, entry id,
--   position of the end, row of _checkout}..., {position, entry}... of other instances.
--@include _now
--@include _announce
--@include _append
--@include _take
--@include _checkout
local call = redis.call
local clock = now()
--@include _end
local count, wanted = tonumber(ARGV[1]), tonumber(ARGV[3])
local acks, late, mine, STRIDE, FIRST = {}, {}, {}, 13, 4
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

for i = 1, count do
  local a = (i - 1) * STRIDE + FIRST
  mine[ARGV[a + 4]] = i
  local name = partly and ARGV[a] .. ':' .. ARGV[a + 3]
  if name and over[name] then
    late[#late + 1] = i
  else
    if name then over[name] = true end
    if ARGV[a + 12] ~= '' then redis.pcall('HDEL', KEYS[ARGV[a + 1] + 4], ARGV[a + 12]) end
    local r, k = ARGV[a + 1] + 0, ARGV[a + 2] + 0
    if ARGV[a + 7] == '' then
      if ARGV[a + 6] ~= '' then tell(r, k, ARGV[a + 4], ARGV[a + 5], ARGV[a + 6]) end
    elseif goes_on(k, ARGV[a + 5]) then
      put_back(r, KEYS[ARGV[a] + 0], ARGV[a + 6], ARGV[a + 7], ARGV[a + 8])
    end
  end
end

local streams, checked, others = {}, {}, {}
for i = count * STRIDE + FIRST, #ARGV do streams[#streams + 1] = KEYS[ARGV[i] + 0] end
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
return { clock, late, checked, others }
