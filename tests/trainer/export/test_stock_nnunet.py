"""The network of nnU-Net's default planner, with its own label names in another order, becomes a bundle."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.config import Config, SegmenterConfig
from cldm_trainer.nnunet.plan import plan_and_preprocess, use_folders, write_raw_images
from cldm_trainer.nnunet.results import build_network
from nnunet_fixtures import export_of, slices

SIZE = 64
LABELS = {"background": 0, "Narbe": 1, "Muskel": 2, "lv_cavity": 3, "Verschluss": 4}
MAPPING = {"Narbe": "infarct", "Muskel": "healthy_myocardium", "4": "mvo"}


def stock_plan(folder: Path) -> dict:
    """nnU-Net's own plan for four slices."""
    masks = np.zeros((4, SIZE, SIZE), np.uint8)
    masks[:, 16:40, 16:40], masks[:, 22:34, 22:34] = 2, 1
    with create_dataset(folder / "cohort.h5", DatasetSpec(get_domain("lge"), (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=slices((4, 1, SIZE, SIZE)), masks=masks, subset=["train"] * 3 + ["val"],
                      patients=list("abcd"))
    use_folders(folder)
    write_raw_images(folder / "cohort.h5", folder)
    plan_and_preprocess(folder, SegmenterConfig(), "2d", 1)
    return json.loads((folder / "preprocessed" / "Dataset001_Cohort" / "nnUNetPlans.json").read_text())


def stock_result(folder: Path) -> Path:
    """An untrained network of the stock plan."""
    plan, result = stock_plan(folder), folder / "result"
    dataset = {"channel_names": {"0": "LGE"}, "labels": LABELS, "numTraining": 1, "file_ending": ".mha"}
    torch.manual_seed(0)
    network = build_network(plan, dataset, "nnUNetTrainer", "2d")
    network.decoder.seg_layers[-1].weight.data *= 20  # every label wins somewhere
    (result / "fold_0").mkdir(parents=True)
    (result / "plans.json").write_text(json.dumps(plan))
    (result / "dataset.json").write_text(json.dumps(dataset))
    torch.save({"network_weights": network.state_dict(), "trainer_name": "nnUNetTrainer", "current_epoch": 1000,
                "init_args": {"configuration": "2d"}, "inference_allowed_mirroring_axes": (0, 1)},
               result / "fold_0" / "checkpoint_final.pth")
    return result


@pytest.mark.long  # test_segmenter.py does the same with a tiny network
@pytest.mark.filterwarnings("ignore")  # nnU-Net's own
def test_a_stock_network_with_labels_in_another_order(tmp_path: Path, small: Config) -> None:
    export = export_of(stock_result(tmp_path), small, slices((2, 1, SIZE, SIZE)), labels=MAPPING)
    segmenter = Segmenter.load(replace(export, torchscript=False).write(tmp_path / "bundle"))
    assert sum(weights.numel() for weights in export.result.network.parameters()) > 5_000_000
    assert segmenter.spec.label_values == (0, 3, 2, 1, 4)
    measured = segmenter.bundle.manifest.quality["measured"]
    differing, pixels = measured["nnUNetPredictor, with mirroring: differing pixels"].split(" of ")
    assert int(differing) <= 0.001 * int(pixels)
