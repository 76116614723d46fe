"""The label map and the attributes of every latent, the rotated, shifted and scaled copies included.

The copies are moved again from their seed, so nothing more than the latents has to be stored, and attributes are
measured on the moved maps.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cldm_runtime.domains.attributes import Reason
from cldm_runtime.errors import DatasetError
from cldm_runtime.store import open_dataset

from ..config import LatentsConfig
from ..training.batches import in_batches, load_masks, load_slices, one_hot
from ..training.run_folder import Cohort, RunFolder
from .latents import BATCH, move_images, move_labels


def label_maps(section: LatentsConfig, run: RunFolder, subset: str) -> Tensor:
    """The label maps (copies * N, *spatial) uint8 of a subset, in the order of its latents and moved as they were."""
    masks = load_masks(run.cohort.file, subset)
    parts = [masks]
    for copy in range(1, section.copies if subset == "train" else 1):
        for number, part in enumerate(in_batches(len(masks), BATCH)):
            key = (run.settings.seed, number, copy)
            parts.append(move_labels(one_hot(masks[part], run.cohort.classes), section, key).to(torch.uint8))
    return torch.cat(parts)


def images(section: LatentsConfig, run: RunFolder, subset: str) -> Tensor:
    """The images (copies * N, C, *spatial) of a subset in float16, in the order of its latents and moved as they were.
    """
    with open_dataset(run.cohort.file) as dataset:
        rows = dataset.rows(subset)
        plain = torch.cat([torch.from_numpy(dataset.images(rows[part])).half()
                           for part in in_batches(len(rows), dataset.rows_at_once)])
    parts = [plain]
    for copy in range(1, section.copies if subset == "train" else 1):
        for number, part in enumerate(in_batches(len(plain), BATCH)):
            parts.append(move_images(plain[part].float(), section, (run.settings.seed, number, copy)).half())
    return torch.cat(parts)


def measured_attributes(section: LatentsConfig, run: RunFolder, subset: str,
                        of_images: Sequence[str] = ()) -> tuple[Tensor, Tensor]:
    """Attributes (N, A) of a subset's samples, 0 where undefined, and where they are defined (0 or 1); then those of
    images that are named, which motion does not change.

    Those of the slices as they are come from the cohort. Those of moved copies are measured on the moved maps, but
    for what a single slice cannot tell, which moves do not change. Raises DatasetError where the cohort has none.
    """
    domain, path = run.cohort.domain, run.cohort.file
    with open_dataset(path) as dataset:
        stored, rows = dataset.mask_attributes, dataset.rows(subset)
    if stored is None:
        raise DatasetError(f"{path}: /attributes/mask is missing. Make it with `cldm-train prepare`.")
    plain = stored[rows]
    moved = label_maps(section, run, subset)[len(plain):].numpy()
    spacing_mm = run.cohort.spacing_mm
    measured = [domain.measure(moved[part], spacing_mm) for part in in_batches(len(moved), BATCH)]
    again = np.tile(plain, (len(moved) // len(plain), 1))
    parts = [plain]
    if measured:
        again_values, reasons = (np.concatenate(column) for column in zip(*((m.values, m.reasons) for m in measured),
                                                                    strict=True))
        parts.append(np.where(reasons == Reason.NEEDS_STACK, again, again_values))
    values = np.concatenate(parts).astype(np.float32)
    if of_images:
        images = image_attributes(run.cohort, subset, of_images)
        values = np.concatenate([values, np.tile(images, (len(values) // len(plain), 1))], axis=1)
    every = torch.from_numpy(values)
    return torch.nan_to_num(every, nan=0.0), torch.isfinite(every).float()


def image_attributes(cohort: Cohort, subset: str, names: Sequence[str]) -> NDArray[np.float32]:
    """(N, len(names)) attributes of a subset's images with their label maps, NaN where undefined."""
    slices, domain = load_slices(cohort.file, subset), cohort.domain
    assert domain.measure_images is not None  # the configuration was checked
    measured = domain.measure_images(slices.images.numpy(), slices.masks.numpy(), cohort.spacing_mm)
    return measured.values[:, [measured.names.index(name) for name in names]]
