-- failed(key, reply): which key failed and why, in one line.
local function failed(key, reply)
  return key .. ': ' .. tostring(reply.err)
end
