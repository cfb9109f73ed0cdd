-- behind(key, place, most, instance): the rank, counted from the greatest score, of the first entry of a zset that lies
-- behind a place: of those with the score `place` ('' = none) only ids less than `instance` do, and all that lie lower.
-- Without a place: the first entry with a score of `most` or less.
local function behind(key, place, most, instance)
  if place == '' then return redis.call('ZCOUNT', key, '(' .. most, '+inf') end
  local low = redis.call('ZCOUNT', key, '(' .. place, '+inf')
  local high = low + redis.call('ZCOUNT', key, place, place)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZREVRANGE', key, middle, middle)[1] < instance then high = middle else low = middle + 1 end
  end
  return low
end
