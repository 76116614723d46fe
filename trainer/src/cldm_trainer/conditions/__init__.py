"""What the denoiser can be conditioned on, one object for each kind."""
