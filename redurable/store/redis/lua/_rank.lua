-- behind(key, place, most, instance): the rank, counted from the greatest score, of the first entry of a zset that lies
-- behind a place: of those with the score `place` ('' = none) only ids less than `instance` do, and all that lie lower.
-- Without a place: the first entry with a score of `most` or less.
-- Ids compare byte by byte, as the server orders them; `<` of texts goes by the locale that the server was started in.
local function precedes(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
local function behind(key, place, most, instance)
  if place == '' then return redis.call('ZCOUNT', key, '(' .. most, '+inf') end
  local low = redis.call('ZCOUNT', key, '(' .. place, '+inf')
  local high = low + redis.call('ZCOUNT', key, place, place)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if precedes(redis.call('ZREVRANGE', key, middle, middle)[1], instance) then high = middle else low = middle + 1 end
  end
  return low
end
