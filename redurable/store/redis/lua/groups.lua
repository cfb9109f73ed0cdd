-- Purpose: see that streams and their consumer group exist.
-- Invariant: an existing group keeps what it knows. A key of a wrong type, which only a foreign client can make, is left
--   to whoever reads from it: the other partitions work without it.
-- KEYS: streams.
-- ARGV: none.
-- Returns: how many groups were created.
local created = 0
for _, stream in ipairs(KEYS) do
  local done = redis.pcall('XGROUP', 'CREATE', stream, 'w', '0', 'MKSTREAM')
  if done.ok then
    created = created + 1
  elseif not string.find(tostring(done.err), 'BUSYGROUP', 1, true) and not string.find(done.err, 'WRONGTYPE', 1, true) then
    return done
  end
end
return created
