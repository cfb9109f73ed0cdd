-- Purpose: read a page of the history of an execution.
-- Invariant: writes nothing; which list holds the execution is decided in the step that reads it, because
--   continue-as-new renames the current one.
-- KEYS: hash, history, past history of the execution that is asked for.
-- ARGV: execution ('' = the current one), first position, last position.
-- Returns: the events, each as it was written.

local history = KEYS[3]
if ARGV[1] == '' or ARGV[1] == redis.call('HGET', KEYS[1], 'x') then history = KEYS[2] end
return redis.call('LRANGE', history, ARGV[2], ARGV[3])
