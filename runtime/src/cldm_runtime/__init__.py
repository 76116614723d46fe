"""Generates controlled LGE MR images from exported bundles and measures segmenters on them.

    generator = Generator.load("exported/lge")
    images, masks = generator.sample(attributes={"infarct_size": [0.1, 0.3]}, seed=0)
    labels = Segmenter.load("exported/lge-segmenter").segment(images)
    values = measure(labels)

Names are imported when first used, so that `import cldm_runtime` alone costs nothing.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .domains.registry import describe, measure
    from .errors import CldmError
    from .evaluation.run import evaluate_dataset
    from .evaluation.segmenters.load import load_segmenter
    from .evaluation.steps import measure_dataset
    from .generation.generator import Generator
    from .generation.run import generate_dataset
    from .report.comparison_page import write_comparison
    from .report.page import write_report
    from .segmentation.segmenter import Segmenter
    from .store import create_dataset, edit_dataset, open_dataset

# onnxruntime 1.31 reports its use to its makers unless it is told not to, before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["CldmError", "Generator", "Segmenter", "__version__", "create_dataset", "describe", "edit_dataset",
           "evaluate_dataset", "generate_dataset", "load_segmenter", "measure", "measure_dataset", "open_dataset",
           "write_comparison", "write_report"]

_HOMES = {
    "CldmError": "errors", "Generator": "generation.generator", "Segmenter": "segmentation.segmenter",
    "create_dataset": "store", "describe": "domains.registry", "edit_dataset": "store",
    "evaluate_dataset": "evaluation.run",
    "generate_dataset": "generation.run", "load_segmenter": "evaluation.segmenters.load", "measure": "domains.registry",
    "measure_dataset": "evaluation.steps",
    "open_dataset": "store", "write_comparison": "report.comparison_page", "write_report": "report.page"}

# Modules that lay on the top level before they moved into folders: former name -> name now.
_MOVED = {
    "agreement": "metrics.agreement", "attributes": "domains.attributes", "audit_log": "cli.run_log",
    "batch_size": "generation.batch_size", "carry_out": "runs.execute", "conditions": "bundle.conditions",
    "dataset_steps": "evaluation.steps", "distances": "evaluation.distances", "domain": "domains.registry",
    "engine_report": "verification.compare", "evaluate": "evaluation.run", "features": "evaluation.features",
    "figures": "report.charts", "generate": "generation.run", "generator": "generation.generator",
    "grid": "requests.grid", "guidance": "diffusion.guidance", "labels": "domains.labels",
    "latent_prior": "generation.latent_prior", "learned_anatomy": "generation.learned_anatomy",
    "manifest": "bundle.manifest", "manifest_checks": "bundle.checks", "map_pictures": "report.heat_maps",
    "mask_grid": "requests.moved_maps", "mask_rows": "requests.given_maps", "npz": "files.npz",
    "onnx_scan": "bundle.onnx_scan", "parity": "metrics.parity", "parts": "generation.parts",
    "pictures": "report.contours", "pipeline": "generation.pipeline", "plan": "generation.plan", "png": "files.png",
    "realism": "metrics.realism", "records": "files.records", "reference": "bundle.reference",
    "repair": "generation.repair", "repeats": "requests.repeats", "report_gallery": "report.gallery",
    "report_tables": "report.tables", "report_uncertainty": "report.uncertainty", "rotation": "domains.rotation",
    "samplers": "diffusion.samplers", "schedule": "diffusion.schedule", "score_files": "report.score_files",
    "segment": "segmentation.segmenter", "segment_prepare": "segmentation.prepare",
    "segment_spec": "bundle.segmenter_spec", "segment_window": "segmentation.window", "shards": "runs.shards",
    "signing": "bundle.signing", "signing_keys": "bundle.signing_keys", "summary": "evaluation.summary",
    "uncertainty": "metrics.uncertainty", "uncertainty_reader": "evaluation.repeated_conditions",
    "user_cache": "files.user_cache", "variety": "metrics.similarity", "verify": "verification.replay",
    "workers": "runs.workers"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


class _FormerPaths(MetaPathFinder, Loader):
    """Imports a module that moved by its former path: the same module object, and a warning that names its path now."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
                  ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if package == __name__ and name in _MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        now = f"{__name__}.{_MOVED[module.__name__.rpartition('.')[2]]}"
        warnings.warn(f"{module.__name__} is now {now}. Import that.", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(now)


sys.meta_path.append(_FormerPaths())  # last: only for what is not there
