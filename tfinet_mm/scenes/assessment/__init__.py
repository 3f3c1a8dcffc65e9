"""Assess the maps of a scene: draw points to label, and estimate areas from the labels."""
