-- Purpose: read the next entries of ranges of indexes, from the greatest time to the least. A score is the base of its
--   range plus a time.
-- Invariant: writes nothing. A key of a wrong type holds nothing. Nothing that fits is missing down to the time returned.
-- KEYS: indexes (once).
-- ARGV: prefix, least time, greatest time, time of the place ('' = none), its instance, entries wanted, lookups at most
--   (both about); then per group of ranges: its conditions (see _fits), number of ranges, per range index of its key, base.
-- Returns: entries (instance, time...), lookups, and, when there may be more, the time down to which they are.
--@include _rank
--@include _fits

local prefix, first, last, place, instance = ARGV[1], ARGV[2] + 0, ARGV[3] + 0, ARGV[4], ARGV[5]
local wanted, most = ARGV[6] + 0, ARGV[7] + 0
local ranges, total, found = {}, 0, {}

local function text(number) return string.format('%.0f', number) end

local function open(key, base, them)
  local rank = behind(key, place == '' and '' or text(base + place), text(base + last), instance)
  local size = redis.call('ZCOUNT', key, text(base + first), '+inf') - rank
  if size <= 0 then return end
  ranges[#ranges + 1] = { key = key, base = base, them = them, rank = rank, size = size }
  total = total + size
end

local function look_at(range, ids)
  for _, id in ipairs(ids) do
    if prefix == '' or string.sub(id, 1, #prefix) == prefix then
      if fits(id, range.them, range.key, range.base) then
        found[#found + 1], found[#found + 2] = id, score_of(range.key, id) - range.base
      end
    end
  end
  lookups, total, range.rank, range.size = lookups + #ids, total - #ids, range.rank + #ids, range.size - #ids
end

-- How many entries each range has down to a time, and in all.
local function sizes_to(down)
  local sizes, sum = {}, 0
  for i, range in ipairs(ranges) do
    sizes[i] = redis.call('ZCOUNT', range.key, text(range.base + down), '+inf') - range.rank
    sum = sum + sizes[i]
  end
  return sizes, sum
end

-- Looks at the next entries, about so many in all; returns the time down to which they are. Instances are spread evenly
-- over partitions, so when the fullest range has its share of them tells when the others have theirs.
local function slice(count)
  local down, sizes, sum = first, {}, total
  for i, range in ipairs(ranges) do sizes[i] = range.size end
  for _ = 1, 8 do
    if sum <= 2 * count then break end
    local fullest = 1
    for i = 2, #sizes do if sizes[i] > sizes[fullest] then fullest = i end end
    local range = ranges[fullest]
    local rank = range.rank + math.ceil(count * sizes[fullest] / sum) - 1
    down = math.floor(redis.call('ZREVRANGE', range.key, rank, rank, 'WITHSCORES')[2] - range.base)
    sizes, sum = sizes_to(down)
  end
  for i, range in ipairs(ranges) do
    if sizes[i] > 0 then look_at(range, redis.call('ZREVRANGE', range.key, range.rank, range.rank + sizes[i] - 1)) end
  end
  return down
end

at = 8
while at <= #ARGV do
  local them = conditions()
  for _ = 1, argument() do
    local key, base = usable(KEYS[argument()]), argument()
    if key then open(key, base, them) end
  end
end

lookups = 0
local all, count, down = total, wanted, nil
while total > 0 and #found < 2 * wanted and lookups < most do
  down = slice(math.ceil(1.2 * count) + 16)
  local seen, lack = all - total, wanted - #found / 2
  count = math.min(lack * seen / math.max(#found / 2, 1), 8 * count, (most - lookups) * seen / lookups)
end
return total > 0 and { found, lookups, down } or { found, lookups }
