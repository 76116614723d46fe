"""A cohort of drawn anatomies, in the dataset format, made in a second."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.store import DatasetSpec, create_dataset
from onnx_fixtures import GREYS


def write_drawn_cohort(path: Path, subsets: Mapping[str, int], nature: str = "phantom",
                       reader: Callable[[np.ndarray], np.ndarray] | None = None, side: int = 128) -> None:
    """`subsets` maps names to numbers of slices; three slices a patient, each label a noisy grey of its own. reader:
    label maps to what a reader drew of them; None: nobody drew. side: pixels of the middle that are kept."""
    middle = slice((128 - side) // 2, (128 + side) // 2)
    domain, rng = get_domain("lge"), np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = DatasetSpec(domain, (side, side), (1.0, 1.0), metadata={"nature": nature})
    with create_dataset(path, spec, overwrite=True) as writer:
        for number, (subset, count) in enumerate(subsets.items()):
            masks = np.stack([draw_anatomy(100 * number + i, 0.1 * (i % 3)) for i in range(count)])[:, middle, middle]
            images = GREYS[masks][:, None] + 0.01 * rng.standard_normal((count, 1, side, side))
            measured = domain.measure(masks)
            writer.append(images=np.clip(images, 0, 1), masks=masks,
                          annotations=None if reader is None else reader(masks), mask_attributes=measured.values,
                          mask_reasons=measured.reasons, subset=[subset] * count, slices=np.arange(count) % 3,
                          patients=[f"{subset}-{i // 3}" for i in range(count)])


def draw_anatomy(index: int, infarct_size: float) -> np.ndarray:
    """(128, 128) label map."""
    anatomy = get_domain("lge").anatomy
    request = anatomy.complete({"infarct_size": infarct_size}, Stream(0, index, Purpose.CONDITION))
    return anatomy.draw(request, Stream(0, index, Purpose.ANATOMY), shape=(128, 128), spacing_mm=(1.0, 1.0)).labels
