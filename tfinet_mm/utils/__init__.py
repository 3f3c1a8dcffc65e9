"""What knows nothing of change detection: devices, commands, configs."""
