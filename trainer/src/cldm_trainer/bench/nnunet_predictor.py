"""nnU-Net's own predictor, slice by slice on the CPU, its preprocessing included."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cldm_runtime.bench.onnx_flops import graph_flops
from cldm_runtime.bench.work import Parts, some_slices
from cldm_runtime.segmentation.segmenter import Segmenter

from ..export.nnunet_agreement import make_predictor, predictor_labels
from ..nnunet.plan import use_folders
from ..nnunet.results import NnunetResult, load_result
from ..stages import segmenter as stage
from ..stages.config_file import load_config
from ..training.run_folder import RunFolder
from .rebuilt_nnunet import check_rebuilt, rebuilt_result


class NnunetPredictor:
    """A segmenter with the weights of a bundle: from its result folder, or rebuilt from the bundle."""

    def __init__(self, config: str, bundle: str, dataset: str, slices: int, mirror: bool, threads: int,
                 subset: str | None = None, labels: str | None = None) -> None:
        """labels: where the label maps go, as .npy, when `facts` are asked for."""
        torch.set_num_threads(threads)
        if "nnUNet_results" not in os.environ:
            use_folders(Path(tempfile.gettempdir()) / "cldm-bench-nnunet")  # nnU-Net wants folders; nothing is written
        segmenter = Segmenter.load(bundle, threads=threads)
        self._result, self._source = find_result(Path(config), segmenter)
        self._values, self._spacing_mm = segmenter.spec.label_values, segmenter.spacing_mm
        self._predictor = make_predictor(self._result, mirror=mirror)
        self._images, _ = some_slices(dataset, slices, subset)
        self._mirror, self._labels = mirror, labels
        graph = segmenter.bundle.manifest.graphs["segmenter"]
        self._flops, self._identity = graph_flops(segmenter.bundle.read(graph), graph), segmenter.bundle.identity

    def facts(self) -> dict[str, Any]:
        if self._labels is not None:
            np.save(self._labels, self._said())
        copies = 2 ** len(self._result.mirror_axes) if self._mirror else 1
        return {"networks": self._identity, "weights": self._source, "precision": "fp32", "mirrored_copies": copies,
                "evaluations": copies, "gflop_per_image": copies * self._flops / 1e9, "slices": len(self._images)}

    def prepare(self, batch: int) -> None:
        """Nothing: nnU-Net's predictor takes one case after the other."""

    def complete(self) -> int:
        self._said()
        return len(self._images)

    def estimate(self) -> Parts:
        raise NotImplementedError

    def _said(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return predictor_labels(self._predictor, self._result, self._images, self._spacing_mm, self._values)


def find_result(config: Path, segmenter: Segmenter) -> tuple[NnunetResult, str]:
    """The nnU-Net training behind a bundle, and where it was found: its folder, or else the bundle itself.

    Raises InputError where the network found is not that of the bundle.
    """
    loaded = load_config(config)
    section = loaded.export
    folder = Path(section.nnunet) if section.nnunet else stage.result_folder(loaded.segmenter, RunFolder.of(loaded))
    if (folder / f"fold_{section.nnunet_fold}").is_dir():
        result, source = load_result(folder, section.nnunet_fold, section.nnunet_checkpoint), "nnU-Net's result folder"
    else:
        result, source = rebuilt_result(segmenter), "rebuilt from the bundle"
    check_rebuilt(segmenter, result)
    return result, source
