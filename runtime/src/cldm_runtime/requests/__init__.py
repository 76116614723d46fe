"""What each sample is asked for: a pure function of (source, seed, index)."""
