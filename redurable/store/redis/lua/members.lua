-- Purpose: read sets.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, holds nothing.
-- KEYS: sets.
-- ARGV: none.
-- Returns: per set its members.

local out = {}
for i = 1, #KEYS do
  local members = redis.pcall('SMEMBERS', KEYS[i])
  out[i] = members.err and {} or members
end
return out
