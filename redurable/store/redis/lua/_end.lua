-- What follows from the end of an attempt (needs _append, clock). r: index of its partition's ready, timers, retries, outbox;
-- k: index of hash, start, mailbox. put_back and tell return nothing: what cannot be put down goes the way said here.

-- Whether the execution is there, and is not over.
local function goes_on(k, execution)
  local at = redis.pcall('HMGET', KEYS[k], 's', 'x')
  if at.err then return true end -- damaged: what is for it finds its way as said below
  return at[1] and at[2] == execution and not finished[at[1]]
end

-- A queue that takes nothing: by way of the timers, whose firing makes it a dead letter.
local function put_back(r, queue, body, member, delay)
  if delay == '0' and type(redis.pcall('XADD', queue, '*', 't', body)) == 'string' then return end
  redis.pcall('HSET', KEYS[r + 2], member, body)
  redis.pcall('ZADD', KEYS[r + 1], string.format('%.0f', clock + delay), member)
end

-- What a mailbox does not take is a dead letter from this step on, whatever becomes of the instance.
local function tell(r, k, instance, execution, body)
  local said = append(KEYS[r], KEYS[k], KEYS[k + 2], instance, 'm', execution, body)
  if string.sub(said, 1, 1) == '!' then
    redis.pcall('XADD', KEYS[r + 3], '*', 'dead', 'mailbox is unusable: ' .. string.sub(said, 2), 'i', instance, 'm', body)
  end
end
