-- Purpose: look at keys with which a command went wrong.
-- Invariant: writes nothing.
-- KEYS: the keys.
-- ARGV: none.
-- Returns: per key its type, and of a stream the greatest id that it has given ('' of others).

local out = {}
for n, key in ipairs(KEYS) do
  local kind, last = redis.call('TYPE', key)['ok'], ''
  if kind == 'stream' then
    local facts = redis.call('XINFO', 'STREAM', key)
    for at = 1, #facts, 2 do
      if facts[at] == 'last-generated-id' then last = facts[at + 1] end
    end
  end
  out[n] = { kind, last }
end
return out
