"""Read and write files of pixels: images, labels, rasters and PNG."""
