-- Purpose: look where instances stand.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, reads as absent.
-- KEYS: hashes.
-- ARGV: none.
-- Returns: per instance status, execution, name, created, updated, parent, parks; without a status there is none.

local out = {}
for i = 1, #KEYS do
  local row = redis.pcall('HMGET', KEYS[i], 's', 'x', 'n', 'c', 'u', 'o', 'z')
  out[i] = row.err and {} or row
end
return out
