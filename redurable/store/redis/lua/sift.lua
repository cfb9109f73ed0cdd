-- Purpose: say which instances are in a wanted state, as their hashes tell.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, fits nowhere.
-- KEYS: hashes.
-- ARGV: updated not before, updated not after (both '' = at any time), number of statuses (0 = any), those, then names (none = any).
-- Returns: the places in KEYS, from 1, of those that fit.

local from, to, statuses = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] + 0
local function set(first, last)
  local members = last >= first and {}
  for i = first, last do members[ARGV[i]] = true end
  return members
end
local wanted, named = set(4, 3 + statuses), set(4 + statuses, #ARGV)
local more = {} -- what is far behind in a hash costs a walk through it
if named then more[#more + 1] = 'n' end
if from then more[#more + 1] = 'u' end

local out = {}
for i = 1, #KEYS do
  local row = redis.pcall('HMGET', KEYS[i], 's', unpack(more))
  local there = not row.err and row[1]
  local updated = there and from and tonumber(row[#row])
  local timely = not from or updated and updated >= from and updated <= to
  if there and timely and (not wanted or wanted[row[1]]) and (not named or named[row[2]]) then
    out[#out + 1] = i
  end
end
return out
