-- Purpose: receive from several streams without waiting, under one budget (COUNT alone is per stream).
-- Invariant: never more than the budget; streams come in the order of KEYS.
-- KEYS: streams.
-- ARGV: consumer, budget.
-- Returns: {position in KEYS, entries} of each stream that had some.
--@include _take
return take(ARGV[1], tonumber(ARGV[2]), KEYS)
