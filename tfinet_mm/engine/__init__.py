"""Run MMEngine's runner: launching, precision, resuming, schedules, hooks."""
