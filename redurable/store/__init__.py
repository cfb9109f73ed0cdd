"""Where hubs live: `port` is the contract; `memory`, `redis` and `embedded` fulfil it; `address` opens a hub."""
