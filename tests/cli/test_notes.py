"""What one must know to read a result is said where the result is shown: permuted labels, and a generator that falls
short of its cohort."""

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset, open_dataset
from html_tables import read_tables
from onnx_fixtures import GREYS

SIZE = 128
GRID = "infarct_size,transmurality,slice_position\n0.2,0.6,0.5\n0,,0.5\n"
SHORT = {"slices": 60, "phantom: Dice of infarct": 0.74, "synthetic: Dice of infarct": 0.31,
         "reconstructed: Dice of infarct": 0.7, "high-frequency energy, synthetic over phantom": 6.4}


def call(*arguments: object) -> int:
    return run(cldm, [str(argument) for argument in arguments], name="cldm")


def heart(angle: float) -> np.ndarray:
    """A ring whose first `angle` degrees are infarct."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    r, theta = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    return np.where(r < 20, 1, np.where(r >= 30, 0, np.where(theta < angle, 3, 2))).astype(np.uint8)


def changed(folder: Path, target: Path, **sections: object) -> Path:
    """A copy of the bundle whose manifest has other sections."""
    shutil.copytree(folder, target)
    manifest = json.loads((folder / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps(manifest | sections))
    return target


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    masks = np.stack([heart(angle) for angle in (0, 60, 120, 200)])
    with create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=GREYS[masks][:, None], masks=masks)
    return tmp_path / "a.h5"


@pytest.fixture
def made(tiny_generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Images of a generator that falls short."""
    (tmp_path / "grid.csv").write_text(GRID)
    weak = changed(tiny_generator, tmp_path / "weak", quality={"measured": SHORT})
    out = tmp_path / "made.h5"
    assert call("gen", "--n", 4, "--attributes", tmp_path / "grid.csv", "--bundle", weak, "--out", out) == 0
    return out


def test_a_permuted_segmenter_is_noted_by_evaluate_and_report(dataset: Path, tiny_segmenter: Path, tmp_path: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    """Its channels 1 (cavity), 2 (myocardium), 3 (infarct) are written as 3, 1, 2."""
    spec = json.loads((tiny_segmenter / "manifest.json").read_text())["segmenter"]
    spec["label_values"][1:4] = [3, 1, 2]
    permuted = changed(tiny_segmenter, tmp_path / "permuted", segmenter=spec)
    assert call("evaluate", dataset, "--segmenter", permuted, "--json") == 0
    out, err = capsys.readouterr()
    advice = "numpy.array([0, 2, 3, 1, 4], numpy.uint8)[labels]"
    assert "note: the label values of segmentation tiny-segmenter look permuted: its 1 lies where the reference has " \
        "2 (healthy_myocardium), its 2 lies where the reference has 3 (infarct), its 3 lies" in err and advice in err
    found = json.loads(out)["label_permutation"]
    assert found["meant"] == [0, 2, 3, 1, 4] and found["n_samples"] == 4
    assert set(found["dice_renumbered"].values()) == {1.0} and max(found["dice"].values()) < 0.3
    page = (tmp_path / "report.html").read_text()
    assert page.index("look permuted") < page.index("Intended use")
    assert call("report", dataset) == 0 and "look permuted" in capsys.readouterr().err


def test_a_right_segmenter_is_not_noted(dataset: Path, tiny_segmenter: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["label_permutation"] is None and "note:" not in err


def test_a_file_that_does_not_say_what_was_measured_is_noted(dataset: Path, tiny_segmenter: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter) == 0
    with h5py.File(dataset, "r+") as file:
        del file["segmentations/tiny-segmenter"].attrs["derived_from"], file.attrs["mask_attributes_derived_from"]
    for command, advised in (("report", ("evaluate", "measure")), ("measure", ()), ("report", ("evaluate",))):
        capsys.readouterr()
        assert call(command, dataset) == 0
        notes = re.findall(f"note: {dataset}: .* have changed since. `cldm ([a-z]+)", capsys.readouterr().err)
        assert tuple(notes) == advised
    assert "does not say which images it was made from" in (dataset.parent / "report.html").read_text()
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter) == 0
    assert "note:" not in capsys.readouterr().err


def test_images_of_ones_own_segmentation_are_known_once_it_is_measured(dataset: Path,
                                                                       capsys: pytest.CaptureFixture[str]) -> None:
    with open_dataset(dataset) as file:
        labels = file.masks()
    with edit_dataset(dataset) as editor:
        editor.segmentation("mine").append(masks=labels)
    assert call("measure", dataset) == call("report", dataset) == 0 and "note:" not in capsys.readouterr().err
    with h5py.File(dataset, "r+") as file:
        file["images"][0, 0, 0, 0] = 9
    assert call("report", dataset) == 4
    assert "replace segmentations/mine by your segmenter's new label maps" in capsys.readouterr().err


def test_permuted_volumes_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    domain = Declaration("organs", 3, {"left": 1, "right": 2, "both": 3}).domain()
    masks = np.zeros((2, 4, 6, 6), np.uint8)
    masks[:, :, :2], masks[:, :, 2:4], masks[:, :, 4:, :3] = 1, 2, 3
    path = tmp_path / "volumes.h5"
    with create_dataset(path, DatasetSpec(domain, (4, 6, 6), (2.0, 1.0, 1.0))) as writer:
        writer.append(images=masks[:, None] / 4, masks=masks)
        writer.segmentation("mine").append(masks=np.array([0, 2, 1, 3], np.uint8)[masks])
    assert call("measure", path) == call("report", path) == 0
    assert "numpy.array([0, 2, 1, 3], numpy.uint8)[labels]" in capsys.readouterr().err


def test_gen_ends_with_what_its_bundle_falls_short_of(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == ("note: tiny-generator: The generator falls short of its cohort (measured at export): Dice of "
                    "infarct 0.31 in its images, 0.74 in the cohort's; fine detail (high-frequency energy) 6.4 times "
                    "the cohort's, expected 0.5 to 2. Errors of segmenters on these images are largely the "
                    "generator's.")


def test_gen_of_a_sound_or_silent_bundle_notes_nothing(tiny_generator: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grid.csv").write_text(GRID)
    sound = {"phantom: Dice of infarct": 0.74, "synthetic: Dice of infarct": 0.7}
    for name, measured in (("sound", sound), ("silent", {})):
        bundle = changed(tiny_generator, tmp_path / name, quality={"measured": measured})
        assert call("gen", "--n", 2, "--attributes", tmp_path / "grid.csv", "--bundle", bundle, "--out",
                    tmp_path / f"{name}.h5") == 0
    assert "note:" not in capsys.readouterr().err


def test_inspect_says_what_falls_short(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", made.with_name("weak")) == 0
    assert "falls short   The generator falls short of its cohort (measured at export): Dice" in capsys.readouterr().out


def test_the_report_repeats_the_bundles_figures(made: Path, tiny_segmenter: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert call("evaluate", made, "--segmenter", tiny_segmenter, "--json") == 0
    out, err = capsys.readouterr()
    generator = json.loads(out)["generator"]
    assert generator["cohort"] == {"Dice of infarct": 0.74} and generator["high_frequency"] == 6.4
    assert generator["weakness"] and f"note: {generator['weakness']}" in err
    page = (made.parent / "report.html").read_text()
    (row,) = next(table for table in read_tables(page) if "Generated images" in table[0])
    assert row == {"Figure": "Dice, Infarct", "Cohort's images": "0.74", "Codec's reconstructions": "0.70",
                   "Generated images": "0.31"}
    assert "exported on 60 validation slices" in page and "cohort's: 6.40." in page
    assert page.index("largely the generator&#x27;s") < page.index("Intended use")


def test_what_a_bundle_does_not_state_is_said(tiny_generator: Path, tiny_segmenter: Path, tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text(GRID)
    for name, measured in (("some", {"phantom: Dice of infarct": 0.74}), ("none", {})):
        bundle, out = changed(tiny_generator, tmp_path / name, quality={"measured": measured}), tmp_path / f"{name}.h5"
        assert call("gen", "--n", 2, "--attributes", tmp_path / "grid.csv", "--bundle", bundle, "--out", out) == 0
        assert call("evaluate", out, "--segmenter", tiny_segmenter, "--out", tmp_path / f"{name}-out") == 0
    (row,) = next(table for table in read_tables((tmp_path / "some-out" / "report.html").read_text())
                  if "Generated images" in table[0])
    assert row["Codec's reconstructions"] == row["Generated images"] == "not stated"
    assert "These figures are not stated in the bundle." in (tmp_path / "none-out" / "report.html").read_text()


def test_a_report_on_a_cohort_has_no_generator(dataset: Path, tiny_segmenter: Path, tmp_path: Path) -> None:
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter) == 0
    assert json.loads((tmp_path / "scores.json").read_text())["generator"] is None
    assert "<h2>The generator</h2>" not in (tmp_path / "report.html").read_text()
