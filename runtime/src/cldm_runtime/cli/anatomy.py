"""Which bundle draws the label maps of `cldm gen`, if any does."""

import os
from pathlib import Path

from ..bundle.bundle import Bundle
from ..bundle.sources import needs_maps
from ..errors import InputError

ANATOMIES = ("parametric", "learned")


def anatomy_bundle(bundle: Bundle, anatomy: str, folder: Path | None, grid_file: Path | None,
                   masks_file: Path | None) -> Bundle | None:
    """The bundle of --anatomy learned; of a domain that draws no label maps by itself also without that option, where
    attributes are given and the bundle lies beside the generator. None: the domain draws them, or nobody.

    Raises InputError where --anatomy learned has no label map to draw.
    """
    beside = Path(folder or os.path.normpath(bundle.path / os.pardir / f"{bundle.manifest.domain}-anatomy"))
    if anatomy != "learned":
        drawn = grid_file is not None and masks_file is None and needs_maps(bundle.manifest)
        return Bundle.load(beside) if drawn and bundle.domain().anatomy is None and beside.is_dir() else None
    if masks_file is not None:
        raise InputError("--anatomy learned draws label maps, --masks gives them. Pass one of the two.")
    if not needs_maps(bundle.manifest):
        raise InputError(f"--anatomy learned: bundle {bundle.path} needs no label maps (see cldm inspect). Leave "
                         "--anatomy out.")
    return Bundle.load(beside)
