"""Read checkpoints without running code, write complete files, share them between ranks."""
