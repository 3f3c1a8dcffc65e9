"""What knows nothing of change detection."""
