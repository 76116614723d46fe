"""An exported nnU-Net in numpy."""
