-- judge(a, k, late): whether a turn that was decided ahead of its end can be made true now (call, try; layout: commit.lua).
-- Returns 1 and the row of _commit; 2 it is applied already; 0 the end came too late, or something came before it: another
-- turn, mail (announced or not), a park. Reads only.
local function judge(a, k, late)
  local row = try('HMGET', KEYS[k], 'h', 'q', 's', 't', 'z', 'p', 'y')
  if row.err then return 0 end
  if row[1] == ARGV[a + 5] then return 2 end
  if late or row[1] ~= ARGV[a + 4] or row[2] ~= '' or row[6] or try('XLEN', KEYS[k + 2]) ~= 0 then return 0 end
  row[7], row[8] = false, row[7]
  return 1, row
end
