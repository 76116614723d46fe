"""From requests to samples: one batch (pipeline), the API (generator), a whole file (plan, run, repair)."""
