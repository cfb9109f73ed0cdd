-- Purpose: take away answers of foreign workers, and do what must be done in the same step: store a sign of life, or
--   send one that cannot be read to the dead letters.
-- Invariant: only whoever takes an answer away acts on it, so it counts once. A lease is renewed only while its task is
--   pending for that consumer. What cannot be buried now (the outbox is damaged, the server full) stays.
-- KEYS: per partition (once) answers, beats, outbox; task queues (once).
-- ARGV: per answer 8: index of its answers, id, what to do (f = nothing more, b = a sign of life, d = it is dead), then
--   b: index of the queue, id of the task, consumer, field of its details, the details ('' = none); d: reason, packed
--   fields.
-- Returns: how many were taken away.

local taken = 0
for a = 1, #ARGV, 8 do
  local at, answer, what = ARGV[a] + 0, ARGV[a + 1], ARGV[a + 2]
  local there = redis.pcall('XRANGE', KEYS[at], answer, answer)
  local mine = not there.err and there[1]
  if mine and what == 'd' then
    mine = type(redis.pcall('XADD', KEYS[at + 2], '*', 'dead', ARGV[a + 3], 'i', '', 'o', ARGV[a + 4])) == 'string'
  end
  if mine then
    redis.call('XDEL', KEYS[at], answer)
    taken = taken + 1
  end
  if mine and what == 'b' then
    local queue, id, consumer = KEYS[ARGV[a + 3] + 0], ARGV[a + 4], ARGV[a + 5]
    local held = redis.pcall('XPENDING', queue, 'w', id, id, 1, consumer)
    local kept = not held.err and #held == 1 and redis.call('XCLAIM', queue, 'w', consumer, 0, id, 'JUSTID') or {}
    if #kept == 1 and ARGV[a + 7] ~= '' then redis.pcall('HSET', KEYS[at + 1], ARGV[a + 6], ARGV[a + 7]) end
  end
end
return taken
