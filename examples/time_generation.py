"""Time generation on this machine, one row for each batch size:

    python examples/time_generation.py exported/lge

Excluded: loading the bundle, drawing label maps, writing files. Each row is the median of three runs after a warm-up.
"""

import statistics
import sys
import time

from cldm_runtime import Generator

generator = Generator.load(sys.argv[1] if len(sys.argv) > 1 else "exported/lge")
settings = generator.sampling
print(f"{generator.bundle.manifest.name}, {settings.sampler}, {settings.steps} steps, provider {generator.provider}")
print("batch  images/s  seconds of each run")
for batch in (1, 4, 16):
    _, masks = generator.sample(attributes={"infarct_size": [0.2] * batch}, seed=0)
    seconds = []
    for seed in range(3):
        begun = time.perf_counter()
        generator.sample(masks=masks, seed=seed)
        seconds.append(time.perf_counter() - begun)
    print(f"{batch:5d}  {batch / statistics.median(seconds):8.2f}  {', '.join(f'{s:.2f}' for s in seconds)}")
