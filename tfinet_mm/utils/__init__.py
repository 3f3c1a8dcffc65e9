"""Tools for devices, commands, configs and files that don't depend on change detection."""
