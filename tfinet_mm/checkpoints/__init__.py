"""Checkpoints: read without running code, written whole, shared between ranks."""
