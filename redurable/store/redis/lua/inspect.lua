-- Purpose: read what is known of instances at a moment.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, reads as absent.
-- KEYS: per instance hash, start, mailbox, history, custom status, quarantine.
-- ARGV: about how many bytes to read; at least one instance is.
-- Returns: per instance as in _inspect; it ends early when there is no more room.
--@include _inspect

local room, out = ARGV[1] + 0, {}
for k = 1, #KEYS, 6 do
  local found = inspect(k)
  out[#out + 1] = found
  for i = 1, found and #found or 0 do
    if type(found[i]) == 'string' then room = room - #found[i] end
  end
  if room <= 0 then break end
end
return out
