"""Measure networks: parameters, operations, time and memory."""
