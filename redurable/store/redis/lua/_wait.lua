-- wait(timers, retries, id, member, since, limit, queue, time): limit how long a task waits in the queue of that name, where
-- it has just become entry `id`: `limit` ms from `since` on ('0' = from `time`). Returns why it failed, or nil.
local function wait(timers, retries, id, member, since, limit, queue, time)
  local due = string.format('%.0f', (since == '0' and time or since) + limit)
  for _, done in ipairs({ redis.pcall('HSET', retries, member, id .. ' ' .. queue), redis.pcall('ZADD', timers, due, member) }) do
    if type(done) == 'table' then return tostring(done.err) end
  end
end
