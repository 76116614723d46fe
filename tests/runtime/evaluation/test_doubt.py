"""Doubt and lesions in the figures and the report of volumes with nested regions."""

import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.errors import DatasetError
from cldm_runtime.evaluation.comparing import REFERENCE, compare_segmentations, known_answers
from cldm_runtime.evaluation.doubt import read_doubt
from cldm_runtime.evaluation.scoring import is_scored_by_lesion, score_labels, score_names, score_units
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.evaluation.summary import read_samples
from cldm_runtime.metrics.lesions import summarise_lesions
from cldm_runtime.report.comparison_page import write_comparison
from cldm_runtime.report.page import write_report
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset, open_dataset
from lesion_volumes import SHAPE, volume_pair

BRAIN = Declaration("brain", 3, {"core": 1, "edema": 2, "et": 3},
                    {"et": ("et",), "tc": ("core", "et"), "wt": ("core", "edema", "et")}, lesion="wt").domain()
PAIRS = (3, 5, 7, 8, 1)
MM = (1.0, 1.0, 1.0)


def written(path: Path, names: tuple[str, ...] = ("et", "tc", "wt"), *, variance: bool = True) -> Path:
    """Five volumes whose segmenter doubts the voxels that it has wrong, and some others."""
    predictions, references = (np.stack(maps) for maps in zip(*map(volume_pair, PAIRS), strict=True))
    rng = np.random.default_rng(0)
    doubts = np.zeros((len(PAIRS), len(names), *SHAPE), np.float16)
    for channel, region in enumerate(names):
        chosen = BRAIN.labels.regions.get(region, (1,))
        wrong = np.isin(predictions, chosen) != np.isin(references, chosen)
        doubts[:, channel] = np.where(wrong, 0.2, 0.0) + np.where(rng.random(wrong.shape) > 0.99, 0.09, 0.0) * ~wrong
    with create_dataset(path, DatasetSpec(BRAIN, SHAPE, MM)) as writer:
        writer.append(images=references[:, None] / 4, masks=references)
        columns = {"variance": doubts, "channel_names": names,
                   "sample_dice": np.ones((len(PAIRS), len(names)), np.float32)} if variance else {}
        writer.segmentation("mine").append(masks=predictions, **columns)
    measure_dataset(path)
    return path


def test_scores_by_lesion_are_stored_and_summarised(tmp_path):
    with open_dataset(written(tmp_path / "a.h5")) as dataset:
        samples = read_samples(dataset, "mine")
    assert samples.scores is not None and samples.scores.names == score_names(BRAIN)
    assert samples.scores.units == score_units(BRAIN)
    predictions, references = (np.stack(maps) for maps in zip(*map(volume_pair, PAIRS), strict=True))
    np.testing.assert_array_equal(samples.scores.values, score_labels(predictions, references, BRAIN, MM).values)
    of_wt = summarise_lesions(samples.scores)[2]
    assert of_wt.region == "wt" and (of_wt.n_found, of_wt.n_missed, of_wt.n_false) == (7, 1, 3)  # of brats2023.csv
    assert of_wt.dice.value == pytest.approx((0.2767689 + 0.6023596 + 0.6201640 + 0.4455863 + 0) / 5, abs=1e-5)
    assert of_wt.false_a_sample.value == pytest.approx(3 / 5)
    assert of_wt.whole_hd95_mm.value == pytest.approx((21.79449 + 3.605551 + 4.123106 + 4.358899 + 374) / 5, abs=1e-3)


def test_domains_without_nested_regions_or_volumes_are_scored_as_before():
    flat = Declaration("a", 2, {"x": 1, "y": 2}, {"x": ("x",), "all": ("x", "y")}).domain()
    assert not is_scored_by_lesion(flat) and is_scored_by_lesion(BRAIN)
    assert len(score_names(flat)) == 8 and len(score_names(BRAIN)) == 3 * 10


def test_doubt_is_read_channel_by_channel(tmp_path):
    with open_dataset(written(tmp_path / "a.h5")) as dataset:
        doubt = read_doubt(dataset, "mine", read_samples(dataset, "mine"), replicates=20)
    assert [each.region for each in doubt] == ["et", "tc", "wt"]
    for each in doubt:
        assert each.everywhere.n == len(PAIRS) * np.prod(SHAPE) > each.near.n
        assert each.near.auc > 0.95 and each.everywhere.auc > 0.99
        assert 0 < each.everywhere.ece < each.near.ece < 0.2
        assert each.selective[-1].n == len(PAIRS) and each.selective[0].dice <= each.best[0].dice


def test_labels_may_be_channels_and_unknown_ones_are_refused(tmp_path):
    with open_dataset(written(tmp_path / "a.h5", ("core",))) as dataset:
        assert read_doubt(dataset, "mine", read_samples(dataset, "mine"), replicates=20)[0].region == "core"
    with open_dataset(written(tmp_path / "b.h5", ("liver",))) as dataset, pytest.raises(
            DatasetError, match="channel 'liver', which is no region or label of domain brain"):
        read_doubt(dataset, "mine", read_samples(dataset, "mine"))


def test_the_report_shows_both_and_none_without_a_variance(tmp_path):
    files = write_report(written(tmp_path / "a.h5"), "mine", tmp_path / "out")
    page, scores = files.html.read_text(encoding="utf-8"), json.loads(files.json.read_text())
    assert "Lesion by lesion" in page and "The doubt of the segmenter" in page and "reliability near the region" in page
    assert page.count(">variance</text>") == 4 and "Row 4, planes z" in page  # four of five volumes
    assert [region["region"] for region in scores["lesions"]] == ["et", "tc", "wt"]
    assert scores["doubt"][2]["near"]["auc"] > 0.95 and len(scores["doubt"][0]["near"]["bins"]) == 10
    assert "wt_dice_by_lesion" in files.csv.read_text().splitlines()[0]
    plain = write_report(written(tmp_path / "b.h5", variance=False), "mine", tmp_path / "plain")
    assert "The doubt of the segmenter" not in plain.html.read_text(encoding="utf-8")
    assert "doubt" not in json.loads(plain.json.read_text())


def test_two_segmenters_are_compared_by_lesion(tmp_path):
    """One finds what it found; the other misses all: each sample counts, also the one without a lesion."""
    path = written(tmp_path / "a.h5", variance=False)
    with edit_dataset(path) as editor:
        editor.segmentation("blind").append(masks=np.zeros((len(PAIRS), *SHAPE), np.uint8))
    measure_dataset(path, segmentations=["blind"])
    with open_dataset(path) as dataset:
        compared = compare_segmentations(dataset, ["mine", "blind"], replicates=50)
        reference = dict(known_answers(dataset, read_samples(dataset, "mine")))[REFERENCE]
    figures = {(each.figure, each.of): each for each in compared.pairs[0].figures}
    dice, false = figures["dice_by_lesion", "wt"], figures["lesions_false", "wt"]
    assert dice.paired.n == len(PAIRS) and not dice.lower_is_better and false.lower_is_better
    assert (dice.paired.one, dice.paired.other) == (pytest.approx(0.388976, abs=1e-5), pytest.approx(1 / 5))
    assert (false.paired.one, false.paired.other) == (pytest.approx(3 / 5), 0.0)
    assert figures["hd95_by_lesion_mm", "wt"].paired.other == pytest.approx(374 * 4 / 5)
    assert reference.scores is not None and (reference.scores["wt_dice_by_lesion"] == 1).all()
    page = write_comparison(path, ["mine", "blind"], tmp_path / "out").html.read_text(encoding="utf-8")
    assert "Dice by lesion WT" in page or "Dice by lesion wt" in page
