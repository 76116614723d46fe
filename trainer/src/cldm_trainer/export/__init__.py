"""From checkpoints to bundles. Torch stops here."""
