"""What application code touches: the App and its decorators, the contexts, the policies, and the payloads between.

Read in this order: `app`, `functions`, `definitions`, `context`. The engine meets user code in `definitions` only.
"""
