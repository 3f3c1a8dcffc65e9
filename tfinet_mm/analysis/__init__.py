"""Measure networks: parameters, operations, time and memory, and training at equal time."""
