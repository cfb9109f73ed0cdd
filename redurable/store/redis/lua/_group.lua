-- delivered(stream): the last id that the group `w` has handed out; '0-0' when the stream or the group does not exist.
local function delivered(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  for _, group in ipairs(groups) do
    local facts = {}
    for at = 1, #group, 2 do facts[group[at]] = group[at + 1] end
    if facts['name'] == 'w' then return facts['last-delivered-id'] end
  end
  return '0-0'
end
