-- Purpose: read which instances changed in a time, with when they were created.
-- Invariant: writes nothing. A key of a wrong type holds nothing. What has not begun has not changed since it was created,
--   and is listed by that alone.
-- KEYS: indexes (once).
-- ARGV: prefix, least and greatest time, time of a place ('' = none): what was created later is left out; then per
--   partition: index of the keys updated and ix, conditions (see _fits), of which the first tells the creation.
-- Returns: instance, time of creation...; some twice.
--@include _fits

local prefix, first, last, place = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local STATUS = 8796093022208 -- see _index

local found = {}
at = 5
while at <= #ARGV do
  local updated, ix = usable(KEYS[argument()]), usable(KEYS[argument()])
  local them = conditions()
  for _, key in pairs({ updated or false, ix or false }) do
    for _, id in ipairs(key and redis.call('ZRANGEBYSCORE', key, first, last) or {}) do
      local fit, score = false, nil
      if prefix == '' or string.sub(id, 1, #prefix) == prefix then fit, score = fits(id, them, nil, 1) end
      local created = fit and score % STATUS
      if fit and (not place or created <= place) then found[#found + 1], found[#found + 2] = id, created end
    end
  end
end
return found
