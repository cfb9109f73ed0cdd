-- Indexes change once per batch (needs _index, call, try, clock; layout: commit.lua). move(key, score, instance) notes a
-- change; list_anew(a, k, status, named): an item has another status or name; settle_moves() writes all.
local moves = {}
local function move(key, at, instance)
  local list = moves[key] or {}
  moves[key] = list
  list[#list + 1], list[#list + 2] = at, instance
end

local function settle_moves()
  for key, list in pairs(moves) do try('ZADD', key, unpack(list)) end
end

local FINISHED = { Completed = true, Failed = true, Canceled = true, Terminated = true }
-- It has another status, or another name.
local function list_anew(a, k, status, named)
  local instance, r, own = ARGV[a + 6], ARGV[a + 2] + 0, call('HMGET', KEYS[k], 'c', 'o')
  local at = score(status, own[1])
  move(KEYS[r + 4], at, instance)
  if named then move(named, at, instance) end
  if FINISHED[status] and not own[2] then move(KEYS[r + 2], score(status, clock), instance) end
end
