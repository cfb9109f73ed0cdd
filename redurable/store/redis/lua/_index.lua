-- What queries, counts and the retention go by. Most scores are when an instance was created. `ix`, `named` and `ended`
-- have their instances by status, too: a score is the status's place in STATUSES times 2^43, plus milliseconds, so that
-- one ZADD moves an instance from status to status.
-- score(status, ms); enlist(it, now): a new Pending instance. it: instance, name, and the keys ix, named, names,
-- tagged (several), kids of its parent. listed(it, first, count): `it` with the keys that stand in KEYS from `first` on:
-- named, kids if it has an owner, tagged. Damaged indexes hold up nobody: the janitor mends them.
local STATUSES = { Pending = 0, Running = 1, Suspended = 2, Completed = 3, Failed = 4, Canceled = 5, Terminated = 6 }
local function score(status, ms)
  return string.format('%.0f', (STATUSES[status] or 0) * 8796093022208 + (tonumber(ms) or 0))
end
local function listed(it, first, count)
  local at = it.owner ~= '' and first + 1 or first
  it.named, it.kids, it.tagged = KEYS[first], at > first and KEYS[at], {}
  for i = at + 1, first + count - 1 do it.tagged[#it.tagged + 1] = KEYS[i] end
  return it
end
local function enlist(it, now)
  redis.pcall('ZADD', it.ix, now, it.instance)
  redis.pcall('ZADD', it.named, now, it.instance)
  redis.pcall('SADD', it.names, it.name)
  for _, tag in ipairs(it.tagged) do redis.pcall('ZADD', tag, now, it.instance) end
  if it.kids then redis.pcall('SADD', it.kids, it.instance) end
end
