"""Turn polygons that people corrected into labels for training."""
