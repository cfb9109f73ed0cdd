-- Purpose: append messages to mailboxes and announce their instances; start children.
-- Invariant: in order; each message all or nothing; one that a mailbox does not take fails alone.
-- KEYS: per partition (once) ready, open, outbox, timers; per message hash, start, mailbox, executions.
-- ARGV: per message: size (without itself), index of ready, index of hash, instance, kind (e, c, m as in _append; s =
--   start), execution, body; of a start also: name, number, refused parent ('' = nobody), refusal, wake, instance as JSON.
-- Returns: per message sent, kept, missing, finished, stale, or '!' and the server's words.
--@include _now
--@include _announce
--@include _append
--@include _create
local clock = now()
local function begin(a, r, k)
  local found = redis.pcall('HMGET', KEYS[k], 'x')
  if found.err then return '!' .. tostring(found.err) end
  if not found[1] then
    local why = create(KEYS[r], KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[r + 1], KEYS[r + 3], {
      instance = ARGV[a + 3], execution = ARGV[a + 5], body = ARGV[a + 6], name = ARGV[a + 7], number = ARGV[a + 8],
      wake = ARGV[a + 11], json = ARGV[a + 12],
    }, clock)
    if why then return '!' .. why end
  elseif ARGV[a + 9] ~= '' and found[1] ~= ARGV[a + 5] and redis.call('LINDEX', KEYS[k + 3], 0) ~= ARGV[a + 5] then
    redis.call('XADD', KEYS[r + 2], '*', 'd', ARGV[a + 9], 'm', ARGV[a + 10])
  end
  return 'sent'
end
local out = {}
local a = 1
while a <= #ARGV do
  local r, k = ARGV[a + 1] + 0, ARGV[a + 2] + 0
  if ARGV[a + 4] == 's' then
    out[#out + 1] = begin(a, r, k)
  else
    out[#out + 1] = append(KEYS[r], KEYS[k], KEYS[k + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], ARGV[a + 6])
  end
  a = a + ARGV[a] + 1
end
return out
