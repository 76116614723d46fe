"""Named tensors through a graph, one file for each provider. Knows no diffusion."""
