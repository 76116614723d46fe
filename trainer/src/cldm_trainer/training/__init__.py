"""How any network is trained: loop, losses, batches, checkpoints, processes. Knows no stage."""
