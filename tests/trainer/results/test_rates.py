"""Rates by patient, of a file whose segmentation is written by hand."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.evaluation.summary import read_samples
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset, open_dataset
from cldm_trainer.results.rates import by_patient, found_pixels


def ring(lesion: int) -> np.ndarray:
    """(20, 20) map whose first `lesion` wall pixels are lesion."""
    labels = np.zeros((20, 20), dtype=np.uint8)
    labels[2:18, 2:18], labels[6:14, 6:14] = 2, 1
    labels.ravel()[np.flatnonzero(labels.ravel() == 2)[:lesion]] = 3
    return labels


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Patient a: a miss and a hit; b: 4 slices without a lesion, on which 0, 1, 10 and 11 pixels are found; c: one, on
    which none is."""
    truth = np.stack([ring(size) for size in (48, 48, 0, 0, 0, 0, 0)])
    found = np.stack([ring(size) for size in (0, 48, 0, 1, 10, 11, 0)])
    path, domain = tmp_path / "set.h5", get_domain("lge")
    with create_dataset(path, DatasetSpec(domain, (20, 20), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((7, 1, 20, 20), np.float32), masks=truth, patients=list("aabbbbc"))
    with edit_dataset(path) as editor:
        editor.segmentation("hand").append(masks=found)
    measure_dataset(path)
    return path


def test_rates_by_hand(path: Path) -> None:
    with open_dataset(path) as dataset:
        samples = read_samples(dataset, "hand")
    assert found_pixels(samples, path, "hand").tolist() == [0, 48, 0, 1, 10, 11, 0]
    row = by_patient(samples, path, "hand")
    assert row["false_rate"]["value"] == pytest.approx(3 / 5) and row["false_sized"]["value"] == pytest.approx(1 / 5)
    assert (row["false_rate"]["low"], row["false_rate"]["high"]) == (0.0, 0.75)  # c twice, b twice
    assert row["missed_rate"]["value"] == 0.5 and row["missed_rate"]["low"] is not None
    assert row["dice"]["infarct"]["value"] == 0.5 and row["dice"]["myocardium"]["value"] == 1.0
