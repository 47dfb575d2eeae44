"""The run directory: layout, small files, checkpoints, and the rules of resuming."""
