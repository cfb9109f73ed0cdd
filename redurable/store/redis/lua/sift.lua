-- Purpose: say which instances are in a wanted state, as their hashes tell.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, fits nowhere.
-- KEYS: hashes.
-- ARGV: updated not before, updated not after, number of statuses (0 = any), those, then names (none = any).
-- Returns: of each that fits its place in KEYS, from 1, and when it was created.

local from, to, statuses = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] + 0
local function set(first, last)
  local members = last >= first and {}
  for i = first, last do members[ARGV[i]] = true end
  return members
end
local wanted, named = set(4, 3 + statuses), set(4 + statuses, #ARGV)

local out = {}
for i = 1, #KEYS do
  local row = redis.pcall('HMGET', KEYS[i], 's', 'n', 'u', 'c')
  local updated = not row.err and row[1] and tonumber(row[3])
  if updated and updated >= from and updated <= to and (not wanted or wanted[row[1]]) and (not named or named[row[2]]) then
    out[#out + 1], out[#out + 2] = i, row[4] or '0'
  end
end
return out
