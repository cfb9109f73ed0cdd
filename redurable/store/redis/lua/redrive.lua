-- Purpose: let a quarantined instance be tried at once.
-- Invariant: its mark stays until a turn is taken. The new head fences whoever decided a turn of it before.
-- KEYS: ready, hash, start, mailbox.
-- ARGV: instance, new head.
-- Returns: redriven | not quarantined | missing | finished.
--@include _announce

local status, flag, parks = unpack(redis.call('HMGET', KEYS[2], 's', 'q', 'z'))
if not status then return 'missing' end
local finished = { Completed = true, Failed = true, Canceled = true, Terminated = true }
if finished[status] then return 'finished' end
if not parks then return 'not quarantined' end
redis.call('HSET', KEYS[2], 'h', ARGV[2], 'z', 1)
redis.call('HDEL', KEYS[2], 'p')
if (flag or '') == '' and redis.call('EXISTS', KEYS[3], KEYS[4]) > 0 then announce(KEYS[1], KEYS[2], ARGV[1]) end
return 'redriven'
