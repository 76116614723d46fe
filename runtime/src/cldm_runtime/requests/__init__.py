"""What is requested of each sample: a pure function of (source, seed, index)."""
