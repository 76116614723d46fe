"""How good is MY segmenter? Images with a chosen infarct, your segmenter, and what was asked for against what it found.
Run it from the root of the repository:

    python examples/evaluate_my_segmenter.py
"""

import numpy as np

from cldm_runtime import Generator, Segmenter, measure
from cldm_runtime.metrics.agreement import agreement

placeholder = Segmenter.load("exported/lge-segmenter")


def my_segmenter(images: np.ndarray, spacing_mm: tuple[float, float]) -> np.ndarray:
    """Images (n, H, W) float32 in 0..1, mm between rows and columns -> label maps (n, H, W) of integers: 0 background,
    1 LV cavity, 2 healthy myocardium, 3 infarct, 4 microvascular obstruction."""
    # YOUR CODE HERE, in the place of the bundle's nnU-Net.
    return placeholder.segment(images, spacing_mm)


generator = Generator.load("exported/lge")
rows_mm, columns_mm = generator.manifest.image.spacing_mm
requests = ({"infarct_size": 0.02 + 0.43 * i / 63} for i in range(64))  # what is left out is drawn plausibly
requested, measured = [], []
for batch in generator.stream(requests, seed=0):
    labels = my_segmenter(batch.images[:, 0], (rows_mm, columns_mm))
    requested.append(batch.requested)
    measured.append(measure(labels).values)

print(f"{'attribute':28}{'n':>4}{'undefined':>11}{'r2':>8}{'bias':>9}")
for attribute, x, y in zip(generator.domain.attributes, np.concatenate(requested).T, np.concatenate(measured).T,
                           strict=True):
    if attribute.measurable:  # a slice does not tell its own position
        found = agreement(x, y)  # pairs with an undefined side are left out and counted: a missed infarct has no depth
        print(f"{attribute.name:28}{found.n:4}{found.n_excluded:11}{found.r2.value:8.3f}{found.bias.value:+9.3f}")
