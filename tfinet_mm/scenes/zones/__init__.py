"""Areas of a scene within polygons of interest, such as districts."""
