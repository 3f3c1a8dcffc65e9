"""Sum up areas of a scene within polygons of interest, such as districts."""
