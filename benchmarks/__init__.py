"""What redurable costs, measured end to end against a floor: the same Redis commands without the engine."""
