"""cldm distance."""

import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import DatasetSpec, create_dataset


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A cohort of 12 slices of 6 patients, half of them test, and 5 images."""
    random = np.random.default_rng(0)
    for name, count in (("cohort.h5", 12), ("samples.h5", 5)):
        with create_dataset(tmp_path / name, DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
            known = {"patients": np.array([f"p{row // 2}" for row in range(count)]),
                     "subset": np.array(["test" if row < 6 else "train" for row in range(count)])}
            writer.append(images=random.random((count, 1, 128, 128)), **(known if count == 12 else {}))
    return [str(tmp_path / "cohort.h5"), str(tmp_path / "samples.h5")]


def test_a_table_of_both_distances(files: list[str], tiny_segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["distance", *files, "--segmenter", str(tiny_segmenter), "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "Frechet distance" in printed and "kernel distance" in printed
    assert "n = 5 a side" in printed and "cut by patients" in printed and "tiny-segmenter" in printed


def test_json_of_a_subset(files: list[str], tiny_segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--segmenter", str(tiny_segmenter), "--subset", "test", "--repeats", "1", "--json"]
    assert run(cldm, ["distance", *files, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["by_patient"], found["kernel_sd"]) == (2, True, None)
    assert run(cldm, ["distance", *files, *options[:2], "--subset", "none"]) == 2
    assert "has no subset 'none'" in capsys.readouterr().err


def test_a_missing_feature_file_is_an_input_error(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["distance", *files, "--features", "no.onnx"]) == 2
    assert "no.onnx: No such file" in capsys.readouterr().err


def test_variety_within_conditions(files: list[str], tiny_segmenter: Path, tmp_path: Path,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    one, other = np.random.default_rng(0).random((2, 1, 128, 128))
    with create_dataset(tmp_path / "pairs.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=np.stack([one, one, other, other]), condition=np.array([0, 0, 1, 1]))
    options = ["--segmenter", str(tiny_segmenter), "--variety", "--repeats", "1", "--json"]
    assert run(cldm, ["distance", files[0], str(tmp_path / "pairs.h5"), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["within_conditions"]["ms_ssim"]["value"] == pytest.approx(1.0)
    assert (found["within_conditions"]["n_pairs"], found["random_pairs_of_cohort"]["n_pairs"]) == (2, 6)
    assert found["random_pairs_of_cohort"]["ms_ssim"]["value"] < 0.5


def test_variety_needs_conditions_with_two_images(files: list[str], tiny_segmenter: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["distance", *files, "--segmenter", str(tiny_segmenter), "--variety"]) == 2
    assert "samples.h5: no condition has two images" in capsys.readouterr().err
