"""Generates controlled LGE MR images from exported bundles and measures segmenters on them.

    generator = Generator.load("exported/lge")
    images, masks = generator.sample(attributes={"infarct_size": [0.1, 0.3]}, seed=0)
    labels = Segmenter.load("exported/lge-segmenter").segment(images)
    values = measure(labels)

Names are imported when first used, so that `import cldm_runtime` alone costs nothing.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .domains.registry import measure
    from .generation.generator import Generator
    from .segmentation.segmenter import Segmenter
    from .store import open_dataset

# onnxruntime 1.31 reports its use to its makers unless it is told not to, before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Generator", "Segmenter", "__version__", "measure", "open_dataset"]

_HOMES = {"Generator": "generation.generator", "Segmenter": "segmentation.segmenter", "measure": "domains.registry",
          "open_dataset": "store"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
