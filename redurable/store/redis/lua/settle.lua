-- Purpose: do what is said of an attempt by token: take it away where it is held or queued, and put down what follows.
-- Invariant: whoever takes it away puts down what follows in the same step, so it ends once. What is taken is what the
--   caller has read and decided upon; where it has changed meanwhile, nothing is written and the caller looks again.
-- KEYS: ready, timers, retries, outbox, beats, marks, hash, start, mailbox, the token's queue, the queue of the retry.
-- ARGV: source ('' = a client), id there, instance, execution, timer member, the held task ('' = it is not held), the id of
--   the queue entry ('' = it is not queued), message ('' = none), retry ('' = none), its delay in ms, field of heartbeat
--   details, why it is a dead letter when it is late, packed original fields.
-- Returns: done | late | moved (look again) | seen (the source was read this far before).
--@include _now
--@include _announce
--@include _append
--@include _above
local clock = now()
--@include _end
local source, id, instance, execution = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local function take()
  if not goes_on(7, execution) then return 'late' end
  if ARGV[6] ~= '' then
    if redis.pcall('HGET', KEYS[3], ARGV[5]) ~= ARGV[6] then return 'moved' end
    redis.call('HDEL', KEYS[3], ARGV[5])
    redis.call('ZREM', KEYS[2], ARGV[5])
  elseif ARGV[7] ~= '' then
    if redis.pcall('XACK', KEYS[10], 'w', ARGV[7]) ~= 1 then return 'moved' end
    redis.call('XDEL', KEYS[10], ARGV[7])
    redis.pcall('HDEL', KEYS[5], ARGV[11])
  else
    return 'late'
  end
  return 'done'
end

if source ~= '' and not above(id, redis.call('HGET', KEYS[6], source) or '0-0') then return 'seen' end
local outcome = take()
if outcome == 'moved' then return outcome end
if outcome == 'late' and source ~= '' then
  redis.call('XADD', KEYS[4], '*', 'dead', ARGV[12], 'i', instance, 'o', ARGV[13], 'p', id)
elseif outcome == 'done' and ARGV[9] ~= '' then
  put_back(1, KEYS[11], ARGV[9], ARGV[5], ARGV[10])
elseif outcome == 'done' then
  tell(1, 7, instance, execution, ARGV[8])
end
if source ~= '' then redis.call('HSET', KEYS[6], source, id) end
return outcome
