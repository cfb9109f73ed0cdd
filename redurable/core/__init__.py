"""The pure heart of redurable: no I/O, no clock, no randomness, no logging, no Redis.

Read in this order: `messages`, `events`, `commands`, `state`, then `turn`.
"""
