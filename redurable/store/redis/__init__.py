"""The store on Redis or Valkey: one Lua script per verb, one lane of connections, every key name from `keys`."""
