"""Files of pixels: images, labels, rasters and PNG."""
