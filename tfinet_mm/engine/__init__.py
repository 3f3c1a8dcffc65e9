"""Running a model: reading and writing checkpoints, launching, measuring, hooks."""
