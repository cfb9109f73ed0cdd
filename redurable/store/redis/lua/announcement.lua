-- Purpose: say who has received the ready entry of an instance.
-- Invariant: writes nothing. A key of a wrong type, which only a foreign client can make, reads as absent.
-- KEYS: instance hash, ready.
-- ARGV: none.
-- Returns: nil when the instance is not announced; else who holds the entry ('' = nobody), for how many ms its lease was
--   not renewed, how often it was delivered.

local id = redis.pcall('HGET', KEYS[1], 'q')
if type(id) ~= 'string' or id == '' then return false end
local held = redis.pcall('XPENDING', KEYS[2], 'w', id, id, 1)
if not held.err and held[1] then return { held[1][2], held[1][3], held[1][4] } end
local there = redis.pcall('XRANGE', KEYS[2], id, id)
if there.err or #there == 0 then return false end
return { '', 0, 0 }
