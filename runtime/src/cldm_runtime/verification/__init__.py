"""Whether this machine computes what the bundle's reference says."""
