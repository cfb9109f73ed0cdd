-- Purpose: read the next entries of ranges of indexes, each from the greatest score to the least.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, holds nothing.
-- KEYS: indexes (once).
-- ARGV: prefix, instance of the place ('' = none), entries wanted per range, entries looked at per range, then per range:
--   index of its key, least score, greatest score, score of the place ('' = not in this range), number of indexes that must
--   have the instance too, and those.
-- Returns: per range its entries (instance, score...), and, when it may have more, the last one that was looked at.
--@include _rank

local prefix, instance, wanted, most = ARGV[1], ARGV[2], ARGV[3] + 0, ARGV[4] + 0
local AT_FIRST, MOST_AT_ONCE = 50, 200 -- a range may end long before what is wanted

local function fits(id, at, others)
  if prefix ~= '' and string.sub(id, 1, #prefix) ~= prefix then return false end
  for i = at, at + others - 1 do
    if not redis.call('ZSCORE', KEYS[ARGV[i] + 0], id) then return false end
  end
  return true
end

local function read(at)
  local key, least, others = KEYS[ARGV[at] + 0], tonumber(ARGV[at + 1]), ARGV[at + 4] + 0
  local rank, seen, found, chunk = behind(key, ARGV[at + 3], ARGV[at + 2], instance), 0, {}, math.min(wanted, AT_FIRST)
  while true do
    local size = math.min(chunk, most - seen)
    local page = redis.call('ZREVRANGE', key, rank, rank + size - 1, 'WITHSCORES')
    for i = 1, #page, 2 do
      if tonumber(page[i + 1]) < least then return { found } end
      seen = seen + 1
      if fits(page[i], at + 5, others) then found[#found + 1], found[#found + 2] = page[i], page[i + 1] end
      if seen == most or #found == 2 * wanted then return { found, page[i], page[i + 1] } end
    end
    if #page < 2 * size then return { found } end
    rank, chunk = rank + size, math.min(2 * chunk, MOST_AT_ONCE)
  end
end

local out, usable, at = {}, {}, 5
for i = 1, #KEYS do usable[i] = redis.call('TYPE', KEYS[i])['ok'] == 'zset' end
while at <= #ARGV do
  out[#out + 1] = usable[ARGV[at] + 0] and read(at) or { {} }
  at = at + 5 + ARGV[at + 4]
end
return out
