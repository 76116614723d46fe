"""Engines that runs scale out on. Each does shards of a run (`shards.py`), and knows nothing of what is in them."""
