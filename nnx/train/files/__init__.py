"""What a training writes and reads: models, checkpoints, logs; whole or not at all, and nothing of it is ever run."""
