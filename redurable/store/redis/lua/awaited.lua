-- Purpose: find out which instances have not read yet that a parent which was rewound asks them to go on.
-- Invariant: writes nothing.
-- KEYS: per instance hash, mailbox.
-- ARGV: none.
-- Returns: the positions of those, from 0.
--@include _awaited

local found = {}
for i = 1, #KEYS, 2 do
  if awaited(KEYS[i], KEYS[i + 1]) then found[#found + 1] = (i - 1) / 2 end
end
return found
