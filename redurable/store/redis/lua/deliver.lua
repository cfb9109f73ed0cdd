-- Purpose: deliver messages that lie in a source stream (an outbox, the intake) to their instances, in order.
-- Invariant: an id at or below the source's mark was delivered before; the mark moves in the step that delivers. What
--   cannot be delivered and must not vanish becomes a dead letter in the outbox of the same partition, in the same step.
-- KEYS: per partition (once) ready, open, outbox, marks, timers, unknown, ix, names; per message hash, start, mailbox,
--   executions, kept; of a start also its indexes (see _index: listed).
-- ARGV: source, then per message 17: index of ready, index of hash, id, instance, kind (e, c, r, m as in _append; s = start),
--   execution, body, name, number, refused parent ('' = nobody), refusal, packed fields, wake, instance as JSON, owner,
--   index of its first index, number of its indexes (all from name on but the packed fields belong to a start, the
--   refusal also to r: nobody is there; of an event, name is its id; packed fields are the original ones, '' when the body is all that there was).
-- Returns: per message sent | kept | dropped | buried | missing | finished | stale | seen; for what became a dead letter
--   although its instance exists, or is no event, `dead` and why: missing | finished | stale | taken | unusable.
--@include _now
--@include _announce
--@include _append
--@include _keep
--@include _index
--@include _create
--@include _begin
--@include _above

local source, STRIDE = ARGV[1], 17
local REASON = {
  missing = 'no such instance', finished = 'the instance has finished', stale = 'the execution is gone',
  taken = 'the instance exists',
}

local function put(a, r, k)
  if ARGV[a + 4] ~= 's' then
    local outcome = append(KEYS[r], KEYS[k], KEYS[k + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], ARGV[a + 6])
    if outcome == 'missing' and ARGV[a + 4] == 'r' and ARGV[a + 9] ~= '' then
      redis.call('XADD', KEYS[r + 2], '*', 'd', ARGV[a + 9], 'm', ARGV[a + 10])
    end
    if outcome ~= 'missing' or ARGV[a + 4] ~= 'e' then return outcome end
    return keep(KEYS[r + 5], KEYS[k + 4], KEYS[k + 2], ARGV[a + 7], ARGV[a + 6])
  end
  return begin(KEYS[r], KEYS[r + 1], KEYS[r + 2], KEYS[r + 4], KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], listed({
    instance = ARGV[a + 3], execution = ARGV[a + 5], body = ARGV[a + 6], name = ARGV[a + 7], number = ARGV[a + 8],
    parent = ARGV[a + 9], refusal = ARGV[a + 10], wake = ARGV[a + 12], json = ARGV[a + 13],
    unknown = KEYS[r + 5], kept = KEYS[k + 4], ix = KEYS[r + 6], names = KEYS[r + 7], owner = ARGV[a + 14],
  }, ARGV[a + 15] + 0, ARGV[a + 16] + 0))
end

-- Why an outcome must not be the end of the message. A relay drops what only comes too late; whoever wrote into the
-- intake has no other way to learn of it.
local function grievance(outcome, kind)
  local what = kind == 's' and 'the instance cannot be started: ' or 'mailbox is unusable: '
  if string.sub(outcome, 1, 1) == '!' then return what .. string.sub(outcome, 2), 'unusable' end
  local late = outcome == 'stale' or (outcome ~= 'taken' and kind ~= 'e')
  if source == 'in' or not late then return REASON[outcome], outcome end
end

local out, marks = {}, {}
for a = 2, #ARGV, STRIDE do
  local r, k, id = ARGV[a] + 0, ARGV[a + 1] + 0, ARGV[a + 2]
  local mark, outcome, why = KEYS[r + 3], 'seen', nil
  marks[mark] = marks[mark] or redis.call('HGET', mark, source) or '0-0'
  if above(id, marks[mark]) then
    outcome, why = put(a, r, k)
    -- Only damage of one key may pass; a server that is out of memory, or read only, gets the message later.
    if string.find(outcome, '^!') and not string.find(outcome, 'WRONGTYPE') and not string.find(outcome, 'exhausted') then
      return redis.error_reply(string.sub(outcome, 2))
    end
    local reason, word = why, nil
    if not why then reason, word = grievance(outcome, ARGV[a + 4]) end
    if reason then
      local field, value = 'o', ARGV[a + 11]
      if value == '' then field, value = 'm', ARGV[a + 6] end
      local letter = { 'dead', reason, 'i', ARGV[a + 3], field, value }
      if source == 'in' then letter[7], letter[8] = 'p', id end
      redis.call('XADD', KEYS[r + 2], '*', unpack(letter))
      outcome = why and outcome or 'dead ' .. word
    end
    redis.call('HSET', mark, source, id)
    marks[mark] = id
  end
  out[#out + 1] = outcome
end
return out
