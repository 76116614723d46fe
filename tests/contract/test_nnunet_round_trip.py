"""Images to nnU-Net raw, through nnU-Net's own command, and back: what the built-in segmenter scores on them.

The network is that of exported/lge-segmenter, in a result folder as nnU-Net leaves it.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nnunetv2")
pytest.importorskip("nibabel")
import torch

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.domains.declared import Declaration
from cldm_runtime.evaluation.segmenters.cases import read_label_maps
from cldm_runtime.scans.conversion.convert import convert
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from cldm_trainer.bench.rebuilt_nnunet import rebuilt_result

ROOT = Path(__file__).parents[2]
TRAINED = "Dataset027_Hearts/nnUNetTrainer__nnUNetPlans__2d"
WITHIN = 0.001  # Dice


def call(*words: object) -> None:
    assert run(cldm, [str(word) for word in words]) == 0


def result_folder(folder: Path) -> Path:
    """plans.json, dataset.json and fold_0/checkpoint_final.pth."""
    result = rebuilt_result(Segmenter.load(ROOT / "exported" / "lge-segmenter"))
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(result.plans))
    (folder / "dataset.json").write_text(json.dumps({**result.dataset, "file_ending": ".nii.gz"}))
    torch.save({"network_weights": result.network.state_dict(), "trainer_name": result.trainer,
                "init_args": {"configuration": "2d"}, "inference_allowed_mirroring_axes": result.mirror_axes},
               folder / "fold_0" / "checkpoint_final.pth")
    return folder


def samples(folder: Path, count: int) -> Path:
    """Generated images, and the same as nnU-Net raw."""
    call("gen", "--n", count, "--attributes", ROOT / "examples/grid.csv", "--bundle", ROOT / "exported/lge", "--out",
         folder / "samples.h5")
    call("convert", folder / "samples.h5", "--to", "nnunet", "--out", folder / "raw")
    return folder / "samples.h5"


def dice_of_both(dataset: Path, predicted: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean Dice of each region by the built-in segmenter, and by what came back."""
    call("evaluate", dataset, "--segmenter", ROOT / "exported/lge-segmenter", "--predictions", predicted, "--out",
         dataset.parent / "report")
    with open_dataset(dataset) as opened:
        names = [number for number, name in enumerate(opened.segmentation("lge-segmenter").score_names)
                 if name.endswith("dice")]
        return tuple(np.nanmean(opened.segmentation(name).scores[:, names], 0)  # type: ignore[index,return-value]
                     for name in ("lge-segmenter", predicted.name))


@pytest.mark.parametrize("shape", [(12, 10), (3, 12, 10)])
def test_nnunet_reads_what_was_converted_and_its_label_maps_return(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """SimpleITKIO of nnU-Net itself; a thick plane, as it gives to slices, keeps them slices when it plans."""
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    domain = Declaration("spleen", len(shape), {"background": 0, "spleen": 1}).domain()
    masks = np.random.default_rng(0).integers(0, 2, (2, *shape), np.uint8)
    with create_dataset(tmp_path / "a.h5", DatasetSpec(domain, shape, (3.0, 1.5, 1.25)[-len(shape):])) as writer:
        writer.append(images=masks[:, None] * 0.5, masks=masks)
    convert(tmp_path / "a.h5", "nnunet", tmp_path / "raw")
    image, properties = SimpleITKIO().read_images([str(tmp_path / "raw/imagesTr/sample00001_0000.nii.gz")])
    assert np.allclose(image[0], masks[1] * 0.5, atol=1e-5)
    assert np.allclose(properties["spacing"], (3.0 if len(shape) == 3 else 999, 1.5, 1.25))
    (tmp_path / "back").mkdir()
    SimpleITKIO().write_seg(masks[1].reshape(image[0].shape), str(tmp_path / "back/sample00001.nii.gz"), properties)
    with open_dataset(tmp_path / "a.h5") as dataset:
        assert np.array_equal(read_label_maps(dataset, [1], tmp_path / "back"), masks[1:])


@pytest.mark.long
def test_the_commands_of_the_page(tmp_path: Path) -> None:
    """As docs/convert.md shows them, in a shell, on 24 images."""
    dataset = samples(tmp_path, 24)
    result_folder(tmp_path / "results" / TRAINED)
    page = (ROOT / "docs" / "convert.md").read_text()
    (line,) = re.findall(r"^nnUNetv2_predict .*$", page, re.MULTILINE)
    line = line.replace("out/nnunet", str(tmp_path / "raw")).replace("out/predicted", str(tmp_path / "predicted"))
    bin_folder = str(Path(sys.executable).parent)
    done = subprocess.run(["sh", "-ec", f"{line} -device cpu"], capture_output=True, text=True, check=False, env={
        **os.environ, "nnUNet_results": str(tmp_path / "results"), "nnUNet_raw": "", "nnUNet_preprocessed": "",
        "PATH": f"{bin_folder}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    ours, theirs = dice_of_both(dataset, tmp_path / "predicted")
    print(f"Dice of the regions: {ours.round(5)} built in, {theirs.round(5)} by nnUNetv2_predict and back")
    assert (ours > 0.5).all() and np.abs(ours - theirs).max() < WITHIN, (ours, theirs)
