"""`cldm gen --keep-classes`: classes of the label maps that are left free."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.evaluation.run import evaluate_dataset
from cldm_runtime.store import open_dataset
from onnx_fixtures import FREE, GREYS

Cli = Callable[..., tuple[int, str, str]]
KEPT = "healthy_myocardium,lv_cavity"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_partly: Path) -> Path:
    """An empty working folder with a label map of every label and the tiny bundle for it in $CLDM_BUNDLE."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_partly))
    np.save(tmp_path / "masks.npy", label_map()[None])
    return tmp_path


def label_map() -> np.ndarray:
    """A wall around a cavity, with an infarct and mvo in it."""
    mask = np.zeros((128, 128), np.uint8)
    mask[32:96, 32:96], mask[48:80, 48:80] = 2, 1
    mask[34:46, 40:88], mask[38:42, 60:70] = 3, 4
    return mask


def test_free_classes_are_closed_and_recorded(cli: Cli) -> None:
    assert cli("--n", 2, "--masks", "masks.npy", "--keep-classes", KEPT)[0] == 0
    mask = label_map()
    with open_dataset("samples.h5") as dataset:
        assert dataset.metadata["kept_classes"] == "lv_cavity,healthy_myocardium"
        assert np.array_equal(dataset.masks(0), np.where(mask >= 2, 2, mask))
        image = dataset.images(0)[0]
        for label in (0, 1, 2):
            assert image[dataset.masks(0) == label].mean() == pytest.approx(GREYS[label] + 2 * FREE, abs=0.02)
        assert np.isnan(dataset.mask_attributes).all() and dataset.mask_reasons.tolist() == [[200, 200, 200, 4]] * 2
        assert np.isnan(dataset.requested).all()


def test_all_classes_are_kept_by_default(cli: Cli, folder: Path) -> None:
    """Bit for bit, and nothing is said of them."""
    assert cli("--n", 2, "--masks", "masks.npy")[0] == 0
    every = "lv_cavity, healthy_myocardium, infarct, mvo"
    assert cli("--n", 2, "--masks", "masks.npy", "--keep-classes", every, "--out", "kept.h5")[0] == 0
    with open_dataset("samples.h5") as plain, open_dataset("kept.h5") as kept:
        assert np.array_equal(plain.stored_images(), kept.stored_images())
        assert plain.metadata["plan"] == kept.metadata["plan"] and "kept_classes" not in kept.metadata
        assert np.isfinite(kept.mask_attributes[:, :3]).all()


def test_a_grid_draws_maps_whose_infarct_is_free(cli: Cli, folder: Path) -> None:
    (folder / "grid.csv").write_text("infarct_size,slice_position\n0.3,0.5\n")
    assert cli("--n", 2, "--attributes", "grid.csv", "--keep-classes", KEPT)[0] == 0
    with open_dataset("samples.h5") as dataset:
        assert set(np.unique(dataset.masks())) == {0, 1, 2} and dataset.requested[:, 3].tolist() == [0.5, 0.5]
        assert np.isnan(dataset.requested[:, :3]).all()


def test_a_free_region_is_not_scored(cli: Cli, folder: Path, tiny_segmenter: Path) -> None:
    assert cli("--n", 2, "--masks", "masks.npy", "--keep-classes", KEPT)[0] == 0
    assert run(cldm, ["evaluate", "samples.h5", "--segmenter", str(tiny_segmenter), "--out", "report"]) == 0
    with open_dataset("samples.h5") as dataset:
        found = dataset.segmentation("tiny-segmenter")
        dice = found.scores[:, [name.endswith("_dice") for name in found.score_names]]
        assert np.isnan(dice[:, 2]).all() and np.isfinite(dice[:, :2]).all()  # lv_cavity, myocardium, infarct
        assert set(found.score_reasons[:, -4:].flatten()) == {4} and np.isfinite(found.attributes[:, 0]).all()
    scores = json.loads((folder / "report" / "scores.json").read_text())
    regions = {region["region"]: region for region in scores["regions"]}
    assert regions["infarct"]["n"] == 0 and regions["lv_cavity"]["n"] == 2


def test_remeasuring_keeps_them_unknown(cli: Cli) -> None:
    assert cli("--n", 1, "--masks", "masks.npy", "--keep-classes", KEPT)[0] == 0
    assert run(cldm, ["measure", "samples.h5"]) == 0
    with open_dataset("samples.h5") as dataset:
        assert dataset.mask_reasons.tolist() == [[200, 200, 200, 4]]


def freed(cli: Cli, segmenter: Path) -> None:
    """samples.h5 with a free infarct, evaluated by a segmenter."""
    assert cli("--n", 2, "--masks", "masks.npy", "--keep-classes", KEPT)[0] == 0
    assert run(cldm, ["evaluate", "samples.h5", "--segmenter", str(segmenter), "--out", "report"]) == 0


def test_what_a_segmenter_finds_stands_in_for_free_classes_on_request(cli: Cli, folder: Path,
                                                                     tiny_segmenter: Path) -> None:
    freed(cli, tiny_segmenter)
    assert run(cldm, ["measure", "samples.h5", "--free-from", "tiny-segmenter"]) == 0
    with open_dataset("samples.h5") as dataset:
        found = dataset.segmentation("tiny-segmenter")
        assert np.array_equal(dataset.mask_attributes, found.attributes, equal_nan=True)
        assert np.array_equal(dataset.mask_reasons, found.attribute_reasons)
        assert dataset.metadata["free_classes_from"] == "tiny-segmenter"
        assert np.isfinite(dataset.mask_attributes[:, 0]).all()
    assert run(cldm, ["report", "samples.h5", "--out", "again"]) == 0
    compared = json.loads((folder / "again" / "scores.json").read_text())["agreement"]
    assert "infarct_size" not in {item["attribute"] for item in compared if item["reference"] == "mask"}  # with itself
    assert run(cldm, ["measure", "samples.h5"]) == 0
    with open_dataset("samples.h5") as dataset:
        assert dataset.mask_reasons.tolist() == [[200, 200, 200, 4]] * 2 and not dataset.metadata["free_classes_from"]


def test_another_segmenter_is_compared_with_what_stands_in(cli: Cli, folder: Path, tiny_segmenter: Path) -> None:
    freed(cli, tiny_segmenter)
    assert run(cldm, ["measure", "samples.h5", "--free-from", "tiny-segmenter"]) == 0
    evaluate_dataset("samples.h5", lambda images, spacing_mm: np.stack([label_map()] * len(images)), name="other")
    assert run(cldm, ["report", "samples.h5", "--segmentation", "other", "--out", "other-report"]) == 0
    page = (folder / "other-report" / "report.html").read_text()
    assert "are what tiny-segmenter finds: the images were made with these classes left free" in page
    compared = json.loads((folder / "other-report" / "scores.json").read_text())["agreement"]
    assert "infarct_size" in {item["attribute"] for item in compared if item["reference"] == "mask"}


def test_a_new_segmentation_by_the_one_that_stands_in_makes_the_attributes_unknown_again(
        cli: Cli, tiny_segmenter: Path) -> None:
    freed(cli, tiny_segmenter)
    assert run(cldm, ["measure", "samples.h5", "--free-from", "tiny-segmenter"]) == 0
    assert run(cldm, ["evaluate", "samples.h5", "--segmenter", str(tiny_segmenter), "--out", "r", "--overwrite"]) == 0
    with open_dataset("samples.h5") as dataset:
        assert dataset.mask_reasons.tolist() == [[200, 200, 200, 4]] * 2


@pytest.mark.parametrize(("arguments", "message"), [
    (["--free-from", "none"], "none"), (["--free-from", "tiny-segmenter", "--no-masks"], "Pass one of the two")])
def test_what_cannot_stand_in_is_named(cli: Cli, tiny_segmenter: Path, capsys: pytest.CaptureFixture[str],
                                       arguments: list[str], message: str) -> None:
    freed(cli, tiny_segmenter)
    before = Path("samples.h5").read_bytes()
    assert run(cldm, ["measure", "samples.h5", *arguments]) in (2, 4)
    assert message in capsys.readouterr().err and Path("samples.h5").read_bytes() == before


def test_whole_label_maps_need_no_stand_in(cli: Cli, tiny_segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("--n", 1, "--masks", "masks.npy")[0] == 0
    assert run(cldm, ["evaluate", "samples.h5", "--segmenter", str(tiny_segmenter), "--out", "report"]) == 0
    assert run(cldm, ["measure", "samples.h5", "--free-from", "tiny-segmenter"]) == 2
    assert "no attribute of its masks depends on a free class" in capsys.readouterr().err


@pytest.mark.parametrize(("classes", "message"), [
    ("lv_cavity,scar", "'scar' unknown. Known: lv_cavity, healthy_myocardium, infarct, mvo."),
    ("scar", "'scar' unknown")])
def test_a_class_that_does_not_exist_is_named(cli: Cli, folder: Path, classes: str, message: str) -> None:
    code, _, err = cli("--n", 1, "--masks", "masks.npy", "--keep-classes", classes)
    assert code == 2 and message in err and not list(folder.glob("samples*"))


def test_a_bundle_that_takes_whole_maps_is_named(cli: Cli, folder: Path, tiny_generator: Path) -> None:
    code, _, err = cli("--n", 1, "--masks", "masks.npy", "--keep-classes", KEPT, "--bundle", tiny_generator)
    assert code == 2 and "leaves no class free: it was not trained for that" in err and not list(folder.glob("samp*"))


def test_a_filter_needs_the_whole_label_map(cli: Cli, folder: Path, tiny_segmenter: Path) -> None:
    code, _, err = cli("--n", 1, "--masks", "masks.npy", "--keep-classes", KEPT, "--keep-if", "infarct_dice >= 0.5",
                       "--segmenter", tiny_segmenter)
    assert code == 2 and "but some classes are left free. Leave one of the two out." in err
    assert not list(folder.glob("samples*"))


def test_from_python(tiny_partly: Path) -> None:
    generator = Generator.load(tiny_partly)
    _, masks = generator.sample(masks=label_map(), keep_classes=["lv_cavity"], n=1)
    assert set(np.unique(masks)) == {0, 1}
