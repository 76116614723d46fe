"""What is measured of a generator at export, and the warning where it falls short."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.registry import get_domain
from cldm_trainer.export.model_card import generator_card
from cldm_trainer.export.quality import measure_generator, reconstruct, warning_of
from onnx_fixtures import GREYS, make_generator

SIZE = 128


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    return make_generator(tmp_path_factory.mktemp("bundle") / "generator", encoder=True)


def hearts():
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    r, theta = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    angles = np.array([40, 90, 150, 220, 300])[:, None, None]
    return np.where(r < 20, 1, np.where(r >= 30, 0, np.where(theta < angles, 3, 2))).astype(np.uint8)


def test_a_codec_that_keeps_everything_reconstructs_the_images(generator):
    """But for its grain of 0.01; greys of labels are 0.15 apart or more."""
    images = GREYS[hearts()][:, None].astype(np.float32)
    difference = reconstruct(Bundle.load(generator), images) - images
    assert np.abs(difference).max() < 0.07 and difference.std() == pytest.approx(0.01, rel=0.05)


def test_cohort_reconstructions_and_generated_images_are_measured(generator, tiny_segmenter):
    masks = hearts()
    found = measure_generator(Bundle.load(generator), tiny_segmenter, GREYS[masks][:, None].astype(np.float32), masks)
    for kind in ("cohort", "reconstructed", "synthetic"):
        assert {found[f"{kind}: Dice of {region}"] for region in get_domain("lge").labels.regions} == {1.0}
        assert found[f"{kind}: r2 of infarct_size"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("synthetic", "energy", "text"), [
    (0.31, 1.0, "Dice of infarct 0.31 in its images, 0.74 in the cohort's"), (0.7, 6.4, "6.4 times"), (0.7, 0.4, "0.4"),
    (0.7, 1.0, "")])
def test_a_bundle_that_falls_short_is_warned_of(generator, tmp_path, synthetic, energy, text):
    folder = shutil.copytree(generator, tmp_path / "copy")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["quality"] = {"measured": {"phantom: Dice of infarct": 0.74, "synthetic: Dice of infarct": synthetic,
                                        "high-frequency energy, synthetic over phantom": energy}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    warning = warning_of(folder)
    assert text in warning and bool(warning) == bool(text) and ("Train longer" in warning) == bool(text)
    limits = generator_card(Bundle.load(folder).manifest, {}).partition("## Limits")[2]
    assert text in limits and limits.strip().startswith("- The generator falls short") == bool(text)


def test_a_segmenter_is_not_warned_of(tiny_segmenter):
    assert warning_of(tiny_segmenter) == ""
