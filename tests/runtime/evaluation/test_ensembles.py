"""Kept draws of an ensemble in the figures and the report: how many are enough, and whether they differ as readers do.
"""

import json

import h5py
import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.evaluation.ensembles import read_ensemble
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.evaluation.summary import read_samples
from cldm_runtime.report.page import write_report
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

SHAPE = (2, 3, 4)
TOY = Declaration("toy", 3, {"rim": 1, "core": 2}, {"core": ("core",), "all": ("rim", "core")}, lesion="all").domain()
TRUTH = np.zeros((2, *SHAPE), np.uint8)
TRUTH[0, 0, 0] = 2  # the second sample has no lesion


def maps(*filled: int) -> np.ndarray:
    """One map of `core` for each: as many voxels of the first row as it says, of 4."""
    drawn = np.zeros((len(filled), *SHAPE), np.uint8)
    for one, count in zip(drawn, filled, strict=True):
        one[0, 0, :count] = 2
    return drawn


@pytest.fixture
def file(tmp_path):
    """Three draws of two images, and two readers who differ as much."""
    path = tmp_path / "a.h5"
    with create_dataset(path, DatasetSpec(TOY, SHAPE, (1.0,) * 3)) as writer:
        writer.append(images=np.zeros((2, 1, *SHAPE)), masks=TRUTH)
        writer.segmentation("mine").append(masks=TRUTH, samples=np.stack([maps(0, 4, 4), maps(0, 0, 0)]))
        for reader, count in (("one", 4), ("two", 0)):
            writer.segmentation(reader).append(masks=np.stack([maps(count)[0], maps(0)[0]]))
    measure_dataset(path)
    return path


def read(path, annotations=()):
    with open_dataset(path) as dataset:
        return read_ensemble(dataset, "mine", read_samples(dataset, "mine"), annotations)


def test_dice_by_the_number_of_draws_is_that_of_their_majority(file):
    core, whole = read(file)
    assert [each.draws for each in core.sizes] == [1, 2, 3]
    # the first draws nothing; of two, a voxel needs both; then two of three are the truth. The empty sample counts 1.
    assert [each.dice.value for each in core.sizes] == pytest.approx([0.5, 0.5, 1.0])
    assert core.distance is None and whole.region == "all"


def test_the_energy_distance_is_a_mean_over_samples(file):
    core = read(file, ("one", "two"))[0]
    between, drawn, annotated = 3 / 6, 4 / 9, 2 / 4  # of the first sample; 0 of the second
    assert (core.between, core.drawn, core.annotated) == pytest.approx((between / 2, drawn / 2, annotated / 2))
    assert core.distance.value == pytest.approx((2 * between - drawn - annotated) / 2)
    against_truth = read(file, ("masks",))[0]
    assert against_truth.annotated == 0 and against_truth.between == pytest.approx(1 / 3 / 2)


def test_the_report_has_both_tables(file, tmp_path):
    written = write_report(file, "mine", tmp_path / "out", annotations=("one", "two"))
    page, scores = written.html.read_text(), json.loads(written.json.read_text())
    assert "How many draws" in page and "Draws and annotations" in page
    assert [each["region"] for each in scores["ensemble"]] == ["core", "all"]
    assert scores["ensemble"][0]["sizes"][2]["draws"] == 3
    plain = write_report(file, "one", tmp_path / "plain")
    assert "How many draws" not in plain.html.read_text() and "ensemble" not in json.loads(plain.json.read_text())


def test_what_is_missing_is_named(file):
    with open_dataset(file) as dataset:
        samples = read_samples(dataset, "one")
        with pytest.raises(InputError, match="'one' keeps no drawn label maps"):
            read_ensemble(dataset, "one", samples, ("two",))
        with pytest.raises(DatasetError, match="no segmentation 'three'"):
            read_ensemble(dataset, "mine", samples, ("three",))
        with pytest.raises(DatasetError, match="has no /annotations"):
            read_ensemble(dataset, "mine", samples, ("annotations",))


def test_a_chunk_holds_one_map_and_labels_are_checked(file, tmp_path):
    with h5py.File(file) as stored:
        assert stored["segmentations/mine/samples"].chunks == (1, 1, *SHAPE)
    with (pytest.raises(DatasetError, match="7"),
          create_dataset(tmp_path / "b.h5", DatasetSpec(TOY, SHAPE, (1.0,) * 3)) as writer):
        writer.append(images=np.zeros((1, 1, *SHAPE)))
        writer.segmentation("mine").append(masks=TRUTH[:1], samples=np.full((1, 2, *SHAPE), 7, np.uint8))
