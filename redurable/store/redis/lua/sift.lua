-- Purpose: say which instances have one of some names, as their hashes tell.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, fits nowhere.
-- KEYS: hashes.
-- ARGV: names.
-- Returns: the places in KEYS, from 1, of those that fit.

local named, out = {}, {}
for i = 1, #ARGV do named[ARGV[i]] = true end
for i = 1, #KEYS do
  local name = redis.pcall('HGET', KEYS[i], 'n')
  if type(name) == 'string' and named[name] then out[#out + 1] = i end
end
return out
