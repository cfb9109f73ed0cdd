-- Purpose: deliver timers that are due: as a message (t, c; s, if its task is undelivered), as the end of a wait (u), as a
--   task back in its queue (r).
-- Invariant: whoever removes the member does what it stands for, in the same step; so each fires once whoever calls. The
--   first write is a ZREM, which a server that is out of memory allows, so timers fire there too.
-- KEYS: per partition (once) timers, retries, ready, outbox; task queues; per timer (all but r, x) hash, start, mailbox.
-- ARGV: per timer 12: index of timers, index of hash, index of its queue (0 = none), kind (x = cannot be read), member,
--   instance, execution (t, c, s) or until (u), message (t, c, s) or packed fields (r, x);
--   what stands in retries (s), or member, since, limit and queue as in _wait (r, '' = its wait is not limited).
-- Returns: now, then per timer 1 = fired, 0 = was gone, or its due time as text when it is early.
--@include _announce
--@include _append
--@include _now
--@include _above
--@include _group
--@include _mail
--@include _wait

local time, STRIDE = now(), 12

local function bury(p, instance, reason, field, value)
  redis.pcall('XADD', KEYS[p + 3], '*', 'dead', reason, 'i', instance, field, value)
end

local function message(p, k, at)
  local outcome = append(KEYS[p + 2], KEYS[k], KEYS[k + 2], ARGV[at + 5], 'm', ARGV[at + 6], ARGV[at + 7])
  if string.sub(outcome, 1, 1) == '!' then
    bury(p, ARGV[at + 5], 'mailbox is unusable: ' .. string.sub(outcome, 2), 'm', ARGV[at + 7])
  end
end

local function unpark(p, k, at)
  local state = redis.pcall('HMGET', KEYS[k], 's', 'p', 'q')
  if not state[1] then return end -- purged, or of a wrong type
  if state[2] then
    if state[2] ~= ARGV[at + 6] and (tonumber(state[2]) or 0) > tonumber(time) then return end -- parked again, for longer
    redis.call('HDEL', KEYS[k], 'p')
  end
  if (state[3] or '') == '' and mail(KEYS[k + 1], KEYS[k + 2]) then
    announce(KEYS[p + 2], KEYS[k], ARGV[at + 5])
  end
end

local function again(p, queue, at)
  local body = redis.pcall('HGET', KEYS[p + 1], ARGV[at + 4])
  if type(body) ~= 'string' then return bury(p, ARGV[at + 5], 'the task of this retry is gone', 'o', ARGV[at + 7]) end
  redis.call('HDEL', KEYS[p + 1], ARGV[at + 4])
  if queue == 0 then return bury(p, ARGV[at + 5], 'the task of this retry cannot be read', 't', body) end
  local added = redis.pcall('XADD', KEYS[queue], '*', 't', body)
  if type(added) == 'table' then return bury(p, ARGV[at + 5], 'the task queue is unusable: ' .. added.err, 't', body) end
  if ARGV[at + 8] ~= '' then
    wait(KEYS[p], KEYS[p + 1], added, ARGV[at + 8], ARGV[at + 9], ARGV[at + 10], ARGV[at + 11], time)
  end
end

-- A task that somebody has received has begun, or its receiver sees that it is too late.
local function unstarted(p, k, queue, at)
  redis.pcall('HDEL', KEYS[p + 1], ARGV[at + 4])
  if queue > 0 and above(string.match(ARGV[at + 8], '^%S+'), delivered(KEYS[queue])) then message(p, k, at) end
end

-- The task came into its queue again since the caller looked: the caller must look again.
local function moved(p, at)
  local now_there = redis.pcall('HGET', KEYS[p + 1], ARGV[at + 4])
  return type(now_there) == 'string' and now_there ~= ARGV[at + 8]
end

local out = { time }
for at = 1, #ARGV, STRIDE do
  local p, k, kind = ARGV[at] + 0, ARGV[at + 1] + 0, ARGV[at + 3]
  local due = redis.pcall('ZSCORE', KEYS[p], ARGV[at + 4])
  if type(due) ~= 'string' then
    out[#out + 1] = 0
  elseif tonumber(due) > tonumber(time) or (kind == 's' and moved(p, at)) then
    out[#out + 1] = due
  else
    redis.call('ZREM', KEYS[p], ARGV[at + 4])
    if kind == 't' or kind == 'c' then message(p, k, at)
    elseif kind == 's' then unstarted(p, k, ARGV[at + 2] + 0, at)
    elseif kind == 'u' then unpark(p, k, at)
    elseif kind == 'r' then again(p, ARGV[at + 2] + 0, at)
    else bury(p, '', 'the timer cannot be read', 'o', ARGV[at + 7]) end
    out[#out + 1] = 1
  end
end
return out
