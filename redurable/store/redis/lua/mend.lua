-- Purpose: put instances where they belong in the indexes of their partition.
-- Invariant: what their hashes say is true. An instance that has another name by now is left for the next time. Only
--   `ended` knows when one ended: with the status that it has, and not after its last change.
-- KEYS: ix, ended, parked, updated, names, then per instance its hash and named.
-- ARGV: per instance: instance, name.
-- Returns: how many entries were put right.
--@include _index

local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
local mended = 0
local function ended_so(known, status, updated)
  known = type(known) == 'string' and tonumber(known)
  return known and tonumber(score(status, 0)) <= known and known <= tonumber(score(status, updated))
end
local function put(key, instance, wanted)
  local found = redis.pcall('ZSCORE', key, instance)
  if type(found) == 'table' and found.err then return end
  if wanted and found ~= wanted then redis.call('ZADD', key, wanted, instance)
  elseif not wanted and found then redis.call('ZREM', key, instance)
  else return end
  mended = mended + 1
end

for i = 1, #ARGV, 2 do
  local hash, named = KEYS[5 + i], KEYS[6 + i]
  local row = redis.pcall('HMGET', hash, 's', 'n', 'c', 'u', 'o', 'z')
  if not row.err and row[1] and row[2] == ARGV[i + 1] then
    local at = score(row[1], row[3])
    put(KEYS[1], ARGV[i], at)
    put(named, ARGV[i], at)
    put(KEYS[3], ARGV[i], row[6] and row[3])
    put(KEYS[4], ARGV[i], (row[1] ~= 'Pending' or row[3] ~= row[4]) and row[4])
    local over = finished[row[1]] and not row[5]
    local known = redis.pcall('ZSCORE', KEYS[2], ARGV[i])
    if not over or not ended_so(known, row[1], row[4]) then put(KEYS[2], ARGV[i], over and score(row[1], row[4])) end
    if redis.pcall('SADD', KEYS[5], row[2]) == 1 then mended = mended + 1 end
  end
end
return mended
