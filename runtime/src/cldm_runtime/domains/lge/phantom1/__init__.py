"""The first LGE phantom: crisp contrast and a simple thorax. Bundles of version 1 were trained on it."""
