"""Tools for devices, commands and configs, which know nothing of change detection."""
