"""The appearance of a dataset, with a domain whose figures can be worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.appearance_rules import AppearanceFigure, AppearanceRules
from cldm_runtime.domains.registry import DOMAINS, get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.appearance import measure_dataset_appearance
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset


def levels(images: np.ndarray, labels: np.ndarray, spacing_mm: tuple[float, ...]) -> dict[str, np.ndarray]:
    """The mean of each image, and its greatest label, unknown for label 0."""
    greatest = labels.max(axis=(1, 2)).astype(float)
    return {"mean": images.mean(axis=(1, 2)), "label": np.where(greatest == 0, np.nan, greatest)}


FIGURES = (AppearanceFigure("mean", "mean", 0.5, 0.4, 0.6), AppearanceFigure("label", "label", 3.0, 2.5, 3.5))


@pytest.fixture(autouse=True)
def plain_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = replace(get_domain("lge"), name="plain", appearance=AppearanceRules(FIGURES, levels, "nobody"))
    monkeypatch.setitem(DOMAINS, "plain", lambda: plain)


def write(path: Path, domain: str = "plain", **columns: object) -> Path:
    """Eleven images of 0, .1, ... 1; the first four have no label."""
    with create_dataset(path, DatasetSpec(get_domain(domain), (4, 4), (1.0, 1.0))) as writer:
        images = np.ones((11, 1, 4, 4)) * np.linspace(0, 1, 11).reshape(-1, 1, 1, 1)
        writer.append(images=images, subset=["test"] * 6 + ["train"] * 5, **columns)  # type: ignore[arg-type]
    return path


MASKS = np.repeat(np.where(np.arange(11) < 4, 0, 1), 16).reshape(11, 4, 4).astype(np.uint8)


def test_points_are_percentiles_of_the_images_that_show_a_figure(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5", masks=MASKS)) as dataset:
        mean, label = measure_dataset_appearance(dataset)
        assert mean.points == pytest.approx((0.1, 0.5, 0.9), abs=1e-4) and mean.count == 11 and mean.inside
        assert label.points == (1, 1, 1) and label.count == 7 and not label.inside
        assert measure_dataset_appearance(dataset, "test")[0].points[1] == pytest.approx(0.25, abs=1e-4)


def test_contours_are_the_annotations_where_there_are_some(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5", masks=MASKS, annotations=3 * MASKS)) as dataset:
        assert measure_dataset_appearance(dataset)[1].inside


def test_without_what_it_needs_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_dataset(write(tmp_path / "a.h5")) as dataset, pytest.raises(InputError, match="no masks"):
        measure_dataset_appearance(dataset)
    monkeypatch.setitem(DOMAINS, "bare", lambda: replace(get_domain("lge"), name="bare", appearance=None))
    bare = write(tmp_path / "b.h5", "bare", masks=MASKS)
    with open_dataset(bare) as dataset, pytest.raises(InputError, match="'bare' does not say"):
        measure_dataset_appearance(dataset)
