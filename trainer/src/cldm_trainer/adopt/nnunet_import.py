"""nnU-Net result folders of any 2-D or 3-D configuration without a cascade to segmenter bundles, without a cohort."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.noise import Purpose, normals
from cldm_runtime.store import open_dataset

from ..export.segmenter import AGREEMENT_IMAGES, SEED, SegmenterExport, nnunet_facts
from ..nnunet.results import NnunetResult, load_result, segmenter_spec
from .description import Description
from .sections import common_sections

_TOLERANCE = 1e-4  # of logits and features, as a share of their range: the labels decide
_FEW = {2: 8, 3: 2}  # drawn images, by spatial axes


def import_nnunet(description: Description, domain: Domain, folder: Path, target: Path, *, force: bool,
                  torchscript: bool) -> Path:
    """Write the bundle of a described result folder. Raises InputError for a folder that cannot be read or whose labels
    are not mapped, ParityError where the runtime's predictor says something else than nnU-Net's."""
    described = description.nnunet
    assert described is not None  # it was checked
    home = folder / described.folder
    result = load_result(home, described.fold, described.checkpoint)
    spec = segmenter_spec(result, domain, described.labels, described.mirroring, "nnunet.labels")
    if len(spec.normalisation) != description.image.channels:
        raise InputError(f"image.channels: found {description.image.channels}, but {home} was trained on "
                         f"{len(spec.normalisation)}. Correct it.")
    weights = home / f"fold_{described.fold}" / described.checkpoint
    sections = {
        "bundle_version": description.bundle.version,
        "kind": "segmenter",
        "description": description.bundle.description or (
            f"nnU-Net ({result.configuration}), trained elsewhere; labels of the domain {domain.name}."),
        **common_sections(description, domain, "nnU-Net", {weights.name: sha256_of(weights)}),
    }
    sections["provenance"] |= {"nnunet": nnunet_facts(result, elsewhere=True)}
    export = SegmenterExport(result, spec, domain, sections, _images(description, folder, result),
                             max(description.tolerance, _TOLERANCE), torchscript)
    return export.write(target, force=force)


def _images(description: Description, folder: Path, result: NnunetResult) -> NDArray[np.float32]:
    """(n, C, *spatial) images that both predictors segment: of the described dataset, else smooth noise in [0, 1]."""
    image, described = description.image, description.nnunet
    assert described is not None
    shape, count = (image.channels, *image.shape), _FEW[result.axes]
    if described.images:
        with open_dataset(folder / described.images) as dataset:
            found = (dataset.channels, *dataset.shape), tuple(dataset.spacing_mm)
            if found != (shape, image.spacing_mm):
                raise InputError(f"{folder / described.images}: images of {list(found[0])} pixels of {list(found[1])} "
                                 f"mm, expected {list(shape)} of {list(image.spacing_mm)}, as the section image says.")
            rows = np.linspace(0, len(dataset) - 1, min(len(dataset), AGREEMENT_IMAGES[result.axes])).astype(int)
            return dataset.images(np.unique(rows))
    noise = normals(SEED, np.arange(count), Purpose.ACQUISITION, shape).astype(np.float64)
    smooth = gaussian_filter(noise, (0, 0, *(3,) * result.axes))
    return np.asarray(np.clip(0.5 + smooth / (4 * smooth.std()) + 0.03 * noise, 0.0, 1.0), dtype=np.float32)
