-- Purpose: count what lies in ranges of indexes.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, holds nothing.
-- KEYS: indexes (once).
-- ARGV: per range: index of its key, least and greatest score.
-- Returns: per range how many entries it has.

local out = {}
for at = 1, #ARGV, 3 do
  local count = redis.pcall('ZCOUNT', KEYS[ARGV[at] + 0], ARGV[at + 1], ARGV[at + 2])
  out[#out + 1] = type(count) == 'number' and count or 0
end
return out
