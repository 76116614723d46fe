"""Everything that touches nnunetv2: plan, trainer, results."""
