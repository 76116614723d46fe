"""A domain that is declared in a file goes the whole way by configuration alone: prepared, trained, exported, generated
from label maps, evaluated and reported, as slices and as volumes. For the latter stand, in the short run,
export/test_volume_segmenter.py and stages/test_volumes.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.store import open_dataset
from declared_path import LABELS, REGIONS, take_the_path

SHAPES = {"slices": (16, 16), "volumes": (8, 16, 16)}
pytestmark = pytest.mark.filterwarnings("ignore")  # nnU-Net's own


@pytest.fixture(scope="module", params=["slices", pytest.param("volumes", marks=pytest.mark.long)])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield take_the_path(folder, SHAPES[request.param])


def test_the_cohort_has_channels_labels_and_attributes(path: Path) -> None:
    with open_dataset(path / "cohort" / "cohort.h5") as cohort:
        assert cohort.channels == 2 and set(np.unique(cohort.masks())) == set(LABELS.values())
        assert set(cohort.subset.tolist()) == {"train", "val", "test"}
        assert cohort.load_domain().labels.colours[4] == (255, 0, 255)
        assert np.isfinite(cohort.mask_attributes).all()


def test_bundles_carry_the_declaration_and_agree_with_torch_and_nnunet(path: Path) -> None:
    generator, segmenter = (Bundle.load(path / "out" / name).manifest for name in ("knee", "knee-segmenter"))
    axes = len(generator.image.shape)
    assert segmenter.segmenter is not None and segmenter.segmenter.kind == f"nnunet-{axes}d"
    assert len(segmenter.segmenter.patch_size) == len(segmenter.segmenter.mirror_axes) == axes
    for manifest in (generator, segmenter):
        assert manifest.declared_domain["labels"]["lesion"] == 4 and manifest.image.channels == 2
        assert tuple(manifest.labels.regions) == REGIONS
        assert all(row["max_abs"] <= row["tolerance"] for row in manifest.quality["parity"])
    assert segmenter.quality["measured"]["nnUNetPredictor, with mirroring: slices"] >= 1


def test_samples_hold_the_given_maps_and_their_attributes(path: Path) -> None:
    with open_dataset(path / "cohort" / "cohort.h5") as cohort, open_dataset(path / "samples.h5") as samples:
        assert samples.images().shape == (5, 2, *cohort.images().shape[2:])
        assert np.array_equal(samples.masks(), cohort.masks()[:5])
        assert samples.load_domain().attribute_names == cohort.load_domain().attribute_names
        assert np.array_equal(samples.mask_attributes, cohort.mask_attributes[:5])
        assert samples.segmentation("knee-segmenter").attributes.shape == samples.mask_attributes.shape


def test_the_report_names_the_declared_regions_and_attributes(path: Path) -> None:
    scores = json.loads((path / "report" / "scores.json").read_text())
    assert {region["region"] for region in scores["regions"]} == set(REGIONS)
    page = (path / "report" / "report.html").read_text(encoding="utf-8").lower()
    with open_dataset(path / "samples.h5") as samples:
        names = samples.load_domain().attribute_names
    assert not [name for name in (*REGIONS, *names) if name.replace("_", " ") not in page]
