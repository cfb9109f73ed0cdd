-- announce(ready, hash, instance): put a new entry on the ready stream; it becomes the instance's announce flag.
-- Returns its id; '' when the stream takes none (it cannot end the script: what stands before it is written already).
local function announce(ready, hash, instance)
  local id = redis.pcall('XADD', ready, '*', 'i', instance)
  if type(id) == 'table' then return '' end
  redis.call('HSET', hash, 'q', id)
  return id
end
