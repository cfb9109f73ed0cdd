-- Purpose: append messages to mailboxes and announce their instances; start children.
-- Invariant: in order; each message all or nothing; one that a mailbox does not take fails alone.
-- KEYS: per partition (once) ready, open, outbox, timers, unknown, ix, names; per message hash, start, mailbox,
--   executions, kept; of a start also its indexes (see _index: listed).
-- ARGV: per message: size (without itself), index of ready, index of hash, instance, kind (e, c, r, m as in _append; s =
--   start), execution, body; of an event also: its id ('' = none); of r also: refused parent ('' = nobody), refusal; of a
--   start also: name, number, refused parent, refusal, wake, instance as JSON, owner, index of its first index, number
--   of its indexes.
-- Returns: per message sent, kept, dropped, buried, missing, finished, stale, or '!' and the server's words.
--@include _now
--@include _announce
--@include _append
--@include _keep
--@include _index
--@include _create
local clock = now()
local function begin(a, r, k)
  local found = redis.pcall('HMGET', KEYS[k], 'x')
  if found.err then return '!' .. tostring(found.err) end
  if not found[1] then
    local why = create(KEYS[r], KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[r + 1], KEYS[r + 3], listed({
      instance = ARGV[a + 3], execution = ARGV[a + 5], body = ARGV[a + 6], name = ARGV[a + 7], number = ARGV[a + 8],
      wake = ARGV[a + 11], json = ARGV[a + 12], unknown = KEYS[r + 4], kept = KEYS[k + 4],
      ix = KEYS[r + 5], names = KEYS[r + 6], owner = ARGV[a + 13],
    }, ARGV[a + 14] + 0, ARGV[a + 15] + 0), clock)
    if why then return '!' .. why end
  elseif ARGV[a + 9] ~= '' and found[1] ~= ARGV[a + 5] and redis.call('LINDEX', KEYS[k + 3], 0) ~= ARGV[a + 5] then
    redis.call('XADD', KEYS[r + 2], '*', 'd', ARGV[a + 9], 'm', ARGV[a + 10])
  end
  return 'sent'
end
local function put(a, r, k)
  local outcome = append(KEYS[r], KEYS[k], KEYS[k + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], ARGV[a + 6])
  if outcome == 'missing' and ARGV[a + 4] == 'r' and ARGV[a + 7] ~= '' then
    redis.call('XADD', KEYS[r + 2], '*', 'd', ARGV[a + 7], 'm', ARGV[a + 8])
  end
  if outcome ~= 'missing' or ARGV[a + 4] ~= 'e' then return outcome end
  local what, why = keep(KEYS[r + 4], KEYS[k + 4], KEYS[k + 2], ARGV[a + 7], ARGV[a + 6])
  local letter = why and redis.pcall('XADD', KEYS[r + 2], '*', 'dead', why, 'i', ARGV[a + 3], 'm', ARGV[a + 6])
  return type(letter) == 'table' and '!' .. tostring(letter.err) or what
end
local out = {}
local a = 1
while a <= #ARGV do
  local r, k = ARGV[a + 1] + 0, ARGV[a + 2] + 0
  if ARGV[a + 4] == 's' then
    out[#out + 1] = begin(a, r, k)
  else
    out[#out + 1] = put(a, r, k)
  end
  a = a + ARGV[a] + 1
end
return out
