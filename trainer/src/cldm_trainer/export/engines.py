"""TensorRT engines of the bundles that were written, where this machine can build them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines.open import build_engines
from cldm_runtime.engines.tensorrt_build import missing
from cldm_runtime.errors import CldmError

_ASKED = "provider tensorrt was requested, but "  # nobody did


def build_or_skip(folders: Sequence[Path], batch_size: int, say: Callable[[str], None]) -> str:
    """Build the engines of bundles for single images and for whole batches, into this user's cache.

    say: told what is done. Returns a line for the user: what was built, or why nothing was and how to do it later. The
    bundles are complete without engines, so nothing is raised.
    """
    later = " && ".join(f"cldm engine build {folder}" for folder in folders)
    reason = missing()
    if reason is None:
        try:
            built = [path for folder in folders
                     for path in build_engines(Bundle.load(folder), sorted({1, batch_size}), say)]
            return f"TensorRT: {len(built)} engines of this machine lie in {built[0].parent}."
        except CldmError as error:
            reason = str(error)
    summary = reason.removeprefix(_ASKED).split(". ")[0].rstrip(".")
    return f"TensorRT: no engines were built here, because {summary}. On the machine that is to run them: {later}"
