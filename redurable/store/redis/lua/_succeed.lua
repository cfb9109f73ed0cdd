-- succeed(k, at): the next execution of an item (needs call; layout: commit.lua). Its start slot is filled; one that was
-- rewound or reset has the beginning of the history that goes to the archive.
local function succeed(k, at)
  local past, kept = KEYS[ARGV[at] + 1], ARGV[at + 6] + 0
  call('RENAME', KEYS[k + 3], past)
  if kept > 0 then
    call('COPY', past, KEYS[k + 3])
    call('LTRIM', KEYS[k + 3], 0, kept - 1)
    call('LSET', KEYS[k + 3], 0, ARGV[at + 7])
  end
  call('SET', KEYS[k + 1], ARGV[at + 5])
  call('HSET', KEYS[k], 'x', ARGV[at + 2], 'k', ARGV[at + 3], 'n', ARGV[at + 4])
end
