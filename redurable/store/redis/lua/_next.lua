-- The next execution of an item, which stands in ARGV at `at` (needs call, try; layout: commit.lua). succeed(k, at): it
-- takes the place of the one before, with the beginning of its history if it was rewound or reset; named_now(a, at): the
-- index of the item's name, and whether that is another one now; without `at` there is no next execution.
local function succeed(k, at)
  local past, kept = KEYS[ARGV[at] + 1], ARGV[at + 7] + 0
  call('RENAME', KEYS[k + 3], past)
  if kept > 0 then
    call('COPY', past, KEYS[k + 3])
    call('LTRIM', KEYS[k + 3], 0, kept - 1)
    call('LSET', KEYS[k + 3], 0, ARGV[at + 8])
  end
  call('SET', KEYS[k + 1], ARGV[at + 5])
  call('HSET', KEYS[k], 'x', ARGV[at + 2], 'k', ARGV[at + 3], 'n', ARGV[at + 4])
end

local function named_now(a, at)
  local named = ARGV[a + 12] ~= '0' and KEYS[ARGV[a + 12] + 0]
  if not at or ARGV[at + 6] == '0' then return named, false end
  if named then try('ZREM', named, ARGV[a + 6]) end
  try('SADD', KEYS[ARGV[at + 6] + 0], ARGV[at + 4])
  return KEYS[ARGV[at + 6] + 1], true
end
