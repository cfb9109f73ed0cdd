-- Instances in indexes. argument(): the next number in ARGV, from `at` on. usable(key): a sorted set; nil for a key of a
-- wrong type, which only a foreign client can make: it holds nothing.
-- conditions(): the next ones in ARGV: their number, then of each the index of a key that must have the instance, 1 when
-- what it lacks counts as having its time there, number of spans in one of which the score must lie (0 = anywhere), those.
-- fits(id, them, own, base): whether it does; the score in the first one. Its time is its score in the index `own` when
-- `base` is 0. `lookups` counts.
local at, lookups = 1, 0
local MOST_KNOWN = 400 -- reading so many at once costs less than looking for each that comes by
local function argument()
  at = at + 1
  return ARGV[at - 1] + 0
end
local function usable(key)
  return redis.call('TYPE', key)['ok'] == 'zset' and key or nil
end
local function score_of(key, id)
  lookups = lookups + 1
  return key and tonumber(redis.call('ZSCORE', key, id) or nil)
end
local function known(key, from, to)
  if not key or redis.call('ZCOUNT', key, from, to) > MOST_KNOWN then return nil end
  local them = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, from, to)) do them[id] = from end
  return them
end
local function conditions()
  local them = {}
  for i = 1, argument() do
    local key, lacking, spans = usable(KEYS[argument()]), argument() == 1, {}
    for j = 1, 2 * argument() do spans[j] = argument() end
    them[i] = { key = key, lacking = lacking, spans = spans, known = lacking and known(key, spans[1], spans[2]) }
  end
  return them
end
local function lies_in(score, spans)
  for i = 1, #spans, 2 do
    if spans[i] <= score and score <= spans[i + 1] then return true end
  end
  return #spans == 0
end
local function fits(id, them, own, base)
  local first
  for i = 1, #them do
    local it = them[i]
    local score = it.known and it.known[id]
    if not score then
      if it.known and base ~= 0 then return false end
      score = score_of(it.key, id)
      if not score and it.lacking and base == 0 then score = score_of(own, id) end
      if not score or not lies_in(score, it.spans) then return false end
    end
    first = first or score
  end
  return true, first
end
