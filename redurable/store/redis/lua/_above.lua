-- above(a, b): whether stream id a is greater than b. Ids compare as two numbers of up to 20 digits, which a double cannot
-- hold, so their digits are compared. The number of an intake may stand in front, `1/`, and counts first.
local function above(a, b)
  local a_no, a_ms, a_seq = string.match(a, '^(%d-)/?(%d+)-(%d+)$')
  local b_no, b_ms, b_seq = string.match(b, '^(%d-)/?(%d+)-(%d+)$')
  if a_no ~= b_no then return (tonumber(a_no) or 0) > (tonumber(b_no) or 0) end
  if a_ms == b_ms then a_ms, b_ms = a_seq, b_seq end
  return #a_ms > #b_ms or (#a_ms == #b_ms and a_ms > b_ms)
end
