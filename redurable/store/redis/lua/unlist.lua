-- Purpose: take instances that are gone out of the indexes of their partition.
-- Invariant: only instances without a hash.
-- KEYS: zsets..., then per instance its hash.
-- ARGV: number of zsets, instances.
-- Returns: how many of them had been somewhere.

local zsets, gone = ARGV[1] + 0, 0
for i = 2, #ARGV do
  if redis.call('EXISTS', KEYS[zsets + i - 1]) == 0 then
    local found = false
    for k = 1, zsets do found = redis.pcall('ZREM', KEYS[k], ARGV[i]) == 1 or found end
    if found then gone = gone + 1 end
  end
end
return gone
