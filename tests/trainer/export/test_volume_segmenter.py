"""A tiny untrained nnU-Net of volumes becomes a bundle whose predictor says what nnUNetPredictor says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_trainer.config import Config
from cldm_trainer.export.nnunet_agreement import compare_predictors
from cldm_trainer.nnunet.plan import halving_strides
from cldm_trainer.nnunet.results import load_result
from nnunet_fixtures import export_of, result_folder, slices

LABELS = {"background": 0, "bone": 1, "marrow": 2, "vessel": 3, "lesion": 4}
PATCH = (8, 16, 16)
TOML = 'name = "knee"\naxes = 3\n[labels]\nbone = 1\nmarrow = 2\nvessel = 3\nlesion = 4\n'


@pytest.fixture
def knee(small: Config, tmp_path: Path) -> Config:
    (tmp_path / "knee.toml").write_text(TOML)
    return replace(small, cohort=replace(small.cohort, domain=str(tmp_path / "knee.toml")),
                   prepare=replace(small.prepare, shape=PATCH, spacing_mm=(4.0, 1.0, 1.0)))


@pytest.mark.parametrize(("options", "shape"), [
    ({"spacing": (4.0, 1.0, 1.0)}, (1, 2, 11, 20, 15)),  # tiles along two axes, padding along the third
    ({"spacing": (2.0, 1.2, 0.8)}, (1, 2, 6, 18, 16)),  # the coarse axis resampled by the nearest slice
    ({"spacing": (1.1, 0.9, 4.0), "transpose": (2, 1, 0), "patch": (16, 16, 4)}, (1, 2, 5, 16, 16)),
])
def test_predictor_of_volumes_agrees_with_nnunet(knee: Config, tmp_path: Path, options, shape) -> None:
    folder = result_folder(tmp_path / "result", LABELS, channels=2, **{"patch": PATCH, **options})
    export = replace(export_of(folder, knee, slices((1, 2, *PATCH))), torchscript=False)
    segmenter = Segmenter.load(export.write(tmp_path / "bundle"))
    assert segmenter.spec.kind == "nnunet-3d" and segmenter.spec.mirror_axes == (0, 1, 2)
    assert segmenter.spec.axis_order == options.get("transpose", (0, 1, 2))
    images = slices(shape, seed=1)
    images[..., :2, :] = 0  # cropped away
    for mirror in (True, False):
        agreement = compare_predictors(segmenter, export.result, images, mirror=mirror)
        assert len(agreement.dice) >= 3  # the labels that win somewhere
        # nnU-Net sums weighted tiles in float16: where a tile's corner stands alone, logits keep two digits of theirs.
        assert agreement.differing_pixels <= 0.005 * agreement.all_pixels


def test_what_the_runtime_does_not_do_is_refused_by_name(knee: Config, tmp_path: Path) -> None:
    folder = result_folder(tmp_path / "result", LABELS, channels=2, patch=PATCH, spacing=(4.0, 1.0, 1.0))
    plan = json.loads((folder / "plans.json").read_text())
    configuration = plan["configurations"]["3d_fullres"]
    configuration["resampling_fn_data_kwargs"]["order_z"] = 1
    configuration["resampling_fn_probabilities_kwargs"]["force_separate_z"] = True
    (folder / "plans.json").write_text(json.dumps(plan))
    with pytest.raises(InputError, match=r"(?s)data_kwargs\.order_z is 1.*probabilities_kwargs\.force_separate_z is T"):
        export_of(folder, knee, slices((1, 2, *PATCH)))


def test_slices_are_not_segmented_by_a_network_of_volumes(small: Config, tmp_path: Path) -> None:
    folder = result_folder(tmp_path / "result", patch=PATCH, spacing=(4.0, 1.0, 1.0))
    with pytest.raises(InputError, match="3d_fullres segments images of 3 axes, but those of the domain lge have 2"):
        export_of(folder, small)


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    import torch

    folder = result_folder(tmp_path / "result", patch=PATCH, spacing=(4.0, 1.0, 1.0))
    file = folder / "fold_0" / "checkpoint_final.pth"
    stored = torch.load(file, weights_only=False)  # written by this test
    torch.save(stored | {"init_args": {"configuration": "3d_cascade_fullres"}}, file)
    with pytest.raises(InputError, match="'3d_cascade_fullres'"):
        load_result(folder)


def test_strides_halve_what_stays_whole() -> None:
    assert halving_strides((128, 128), 4) == [[1, 1], [2, 2], [2, 2], [2, 2]]
    assert halving_strides((6, 16, 7), 3) == [[1, 1, 1], [2, 2, 1], [1, 2, 1]]
