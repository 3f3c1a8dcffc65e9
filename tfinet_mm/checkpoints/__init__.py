"""Read checkpoints without running code, write them whole, share them between ranks."""
