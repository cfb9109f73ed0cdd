-- Purpose: read what the turns of a batch need.
-- Invariant: writes nothing.
-- KEYS: per entry hash, start, mailbox, history.
-- ARGV: per entry the cached position: execution, length, commit ('', 0, '' when there is none).
-- Returns: the server's time in ms, then a row per entry (see _checkout).
--@include _now
--@include _checkout
local out = { now() }
for i = 0, #KEYS / 4 - 1 do
  local k, a = i * 4, i * 3
  out[i + 2] = checkout(KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3])
end
return out
