"""Segmenting and measuring dataset files, with a segmenter that reads the labels off their greys."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cldm_runtime.domains.attributes import Reason
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.engines.choose import Choice
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.evaluation.run import evaluate_dataset, silent_stage
from cldm_runtime.evaluation.steps import is_segmented, measure_dataset, segment_dataset
from cldm_runtime.evaluation.summary import outcome, read_samples, summarise_samples
from cldm_runtime.metrics.overlap import ScoreReason
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset, open_dataset
from onnx_fixtures import GREYS

SIZE = 128


def heart(infarct_degrees: float, radius: float = 20.0) -> np.ndarray:
    """A ring with a sector of infarct through the whole wall."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    r, angle = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    wall = (r >= radius) & (r < radius + 10)
    return np.where(r < radius, 1, np.where(wall & (angle < infarct_degrees), 3, np.where(wall, 2, 0))).astype(np.uint8)


MASKS = np.stack([heart(angle) for angle in (0, 40, 90, 150, 220, 300)])
TOLD = np.stack([heart(angle) for angle in (30, 40, 90, 150, 220, 0)])  # one false infarct, one missed
DOMAIN = get_domain("lge")


def write(path: Path, masks: bool = True, **columns: object) -> Path:
    spec = DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0), metadata={"seed": 7})
    with create_dataset(path, spec) as writer:
        writer.append(images=GREYS[TOLD][:, None], masks=MASKS if masks else None, **columns)  # type: ignore[arg-type]
    return path


@pytest.fixture
def segmenter(tiny_segmenter: Path) -> Segmenter:
    return Segmenter.load(tiny_segmenter)


def test_the_segmentation_and_its_source_are_stored(tmp_path: Path, segmenter: Segmenter) -> None:
    segment_dataset(path := write(tmp_path / "a.h5"), segmenter, batch_size=4)
    with open_dataset(path) as dataset:
        found = dataset.segmentation("tiny-segmenter")
        assert np.array_equal(found.masks(), TOLD)
        assert found.metadata["manifest_sha256"] == segmenter.bundle.manifest_sha256
        assert found.metadata["provider"] == "cpu"


def test_batches_do_not_change_the_answer(tmp_path: Path, segmenter: Segmenter) -> None:
    images = GREYS[TOLD]
    assert np.array_equal(segmenter.segment(images, batch_size=1), segmenter.segment(images, batch_size=6))


def test_features_are_one_row_a_slice(segmenter: Segmenter) -> None:
    images = GREYS[TOLD]
    features = segmenter.features(images, batch_size=4)
    assert np.allclose(features[:, 0], images.mean(axis=(1, 2)), atol=1e-5)


def test_scores_and_attributes_are_measured(tmp_path: Path, segmenter: Segmenter) -> None:
    name = evaluate_dataset(path := write(tmp_path / "a.h5"), segmenter)
    with open_dataset(path) as dataset:
        samples = read_samples(dataset, name)
    assert samples.scores is not None and samples.mask is not None
    assert np.allclose(samples.scores["lv_cavity_dice"], 1)
    assert samples.scores.why("infarct_hd_mm").tolist() == [ScoreReason.REFERENCE_EMPTY, 0, 0, 0, 0,
                                                            ScoreReason.PREDICTION_EMPTY]
    assert outcome(samples, "infarct") == ["false", "found", "found", "found", "found", "missed"]
    assert np.allclose(samples.attributes[1:5, 0], samples.mask[1:5, 0])


def test_the_summary_counts_and_correlates(tmp_path: Path, segmenter: Segmenter) -> None:
    requested = DOMAIN.measure(MASKS).values
    name = evaluate_dataset(path := write(tmp_path / "a.h5", requested=requested), segmenter)
    with open_dataset(path) as dataset:
        summary = summarise_samples(read_samples(dataset, name), {"dataset": "a.h5"}, replicates=50)
    assert summary.false_detections["infarct"].value == 1.0  # one slice without infarct, and it got one
    sizes = {(c.measured, c.reference, c.samples): c.agreement for c in summary.comparisons
             if c.attribute == "infarct_size"}
    assert sizes["segmentation", "mask", "all"].n == 6
    assert sizes["segmentation", "mask", "infarct only"].n == 5
    assert sizes["mask", "requested", "all"].r2.value == pytest.approx(1)
    assert ("segmentation", "requested", "infarct only") in sizes


def test_rates_of_the_summary_are_drawn_by_patient(tmp_path: Path, segmenter: Segmenter) -> None:
    """Of two patients one has both failures: the missed lesion of his three, and the false finding."""
    patients = ["b", "a", "a", "a", "b", "b"]
    name = evaluate_dataset(path := write(tmp_path / "a.h5", patients=patients), segmenter)
    with open_dataset(path) as dataset:
        summary = summarise_samples(read_samples(dataset, name), {}, replicates=50)
    assert summary.detection is not None
    missed, false = summary.detection.missed_rate, summary.false_detections["infarct"]
    assert (missed.value, missed.low, missed.high) == (pytest.approx(1 / 5), 0.0, pytest.approx(1 / 2))
    assert (false.value, false.high) == (1.0, pytest.approx(1.0)) and false.low < 0.25  # Wilson's, of one patient


def test_undefined_pairs_are_counted(tmp_path: Path, segmenter: Segmenter) -> None:
    name = evaluate_dataset(path := write(tmp_path / "a.h5"), segmenter)
    with open_dataset(path) as dataset:
        comparisons = summarise_samples(read_samples(dataset, name), {}, replicates=10).comparisons
    (found,) = [c.agreement for c in comparisons if c.attribute == "transmurality" and c.samples == "all"]
    assert (found.n, found.n_reference_undefined, found.n_measured_undefined) == (4, 1, 1)


def test_a_segmentation_by_the_same_bundle_is_used_again(tmp_path: Path, segmenter: Segmenter) -> None:
    stages: list[str] = []
    path = write(tmp_path / "a.h5")
    for _ in range(2):
        evaluate_dataset(path, segmenter, stage=lambda name: stages.append(name) or silent_stage(name))
    assert stages == ["segmenting and measuring", "measuring"]
    assert is_segmented(path, segmenter) and not is_segmented(path, segmenter, mirror=False)


def test_another_answer_is_not_replaced_unasked(tmp_path: Path, segmenter: Segmenter) -> None:
    path = write(tmp_path / "a.h5")
    with edit_dataset(path) as editor:
        editor.segmentation("tiny-segmenter").append(masks=MASKS)
    with pytest.raises(DatasetError, match="--overwrite"):
        evaluate_dataset(path, segmenter)
    evaluate_dataset(path, segmenter, overwrite=True)
    with open_dataset(path) as dataset:
        assert np.array_equal(dataset.segmentation("tiny-segmenter").masks(), TOLD)


def test_measuring_again_keeps_what_a_slice_cannot_tell(tmp_path: Path) -> None:
    known = DOMAIN.measure(MASKS).values.copy()
    known[:, 3] = 0.25
    known[:, 0] = 9
    path = write(tmp_path / "a.h5", mask_attributes=known, mask_reasons=np.zeros(known.shape, np.uint8))
    measure_dataset(path)
    with open_dataset(path) as dataset:
        measured, reasons = dataset.mask_attributes, dataset.mask_reasons
    assert measured is not None and reasons is not None
    assert np.allclose(measured[:, 3], 0.25) and measured[:, 0].max() <= 1
    assert (reasons[:, 3] == Reason.MEASURED).all()


def test_without_masks_only_attributes_are_measured(tmp_path: Path, segmenter: Segmenter) -> None:
    requested = DOMAIN.measure(MASKS).values
    name = evaluate_dataset(path := write(tmp_path / "a.h5", masks=False, requested=requested), segmenter)
    with open_dataset(path) as dataset:
        samples = read_samples(dataset, name)
    assert samples.scores is None and samples.mask is None
    assert samples.lesion_reference == "requested" and samples.with_lesion.tolist() == [False, *[True] * 5]
    summary = summarise_samples(samples, {}, replicates=10)
    assert summary.regions == () and {c.reference for c in summary.comparisons} == {"requested"}
    assert summary.detection.n_false == summary.detection.n_missed == summary.detection.n_without == 1


def test_with_nothing_to_compare_there_are_attributes_alone(tmp_path: Path, segmenter: Segmenter) -> None:
    name = evaluate_dataset(path := write(tmp_path / "a.h5", masks=False), segmenter)
    with open_dataset(path) as dataset:
        samples = read_samples(dataset, name)
    summary = summarise_samples(samples, {}, replicates=10)
    assert np.isfinite(samples.attributes[:, 0]).all() and samples.with_lesion is None
    assert summary.detection is None and summary.comparisons == () and outcome(samples, "infarct") == []


def test_the_lesion_is_detected_against_masks_where_there_are_some(tmp_path: Path, segmenter: Segmenter) -> None:
    nothing = np.full((len(MASKS), 4), np.nan)
    name = evaluate_dataset(path := write(tmp_path / "a.h5", requested=nothing), segmenter)
    with open_dataset(path) as dataset:
        found = summarise_samples(read_samples(dataset, name), {}, replicates=10).detection
    assert (found.reference, found.n_with, found.n_missed, found.n_without, found.n_false) == ("mask", 5, 1, 1, 1)


def test_a_subset_is_summarised_alone(tmp_path: Path, segmenter: Segmenter) -> None:
    parts = ["train"] * 4 + ["test"] * 2
    name = evaluate_dataset(path := write(tmp_path / "a.h5", subset=parts, patients=list("aabbcc")), segmenter)
    with open_dataset(path) as dataset:
        chosen = read_samples(dataset, name, "test")
        assert chosen.rows.tolist() == [4, 5]
        assert summarise_samples(chosen, {}).n_patients == 1
        with pytest.raises(InputError, match="test, train"):
            read_samples(dataset, name, "val")


def test_progress_reaches_the_total(tmp_path: Path, segmenter: Segmenter) -> None:
    calls: list[tuple[int, int]] = []
    segment_dataset(path := write(tmp_path / "a.h5"), segmenter, progress=lambda *count: calls.append(count))
    measure_dataset(path, progress=lambda *count: calls.append(count))
    assert calls == [(6, 6), (6, 12), (12, 12)]  # the images; the masks and one segmentation


def test_nothing_to_measure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cldm segment"):
        measure_dataset(write(tmp_path / "a.h5", masks=False))


def test_auto_uses_what_another_provider_said(tmp_path: Path, segmenter: Segmenter) -> None:
    """It may choose differently every time; asked for by name, a provider is what it is."""
    elsewhere = dataclasses.replace(segmenter, engine=Elsewhere(), choice=Choice("openvino", "openvino"))
    segment_dataset(path := write(tmp_path / "a.h5"), elsewhere)
    chosen = dataclasses.replace(segmenter, choice=Choice("auto", "cpu"))
    assert is_segmented(path, chosen) and not is_segmented(path, segmenter)
    assert not is_segmented(path, dataclasses.replace(chosen, choice=Choice("auto", "openvino", "bf16")))


class Elsewhere:
    """An engine that says background everywhere, on another provider."""

    provider = "openvino"

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"logits": np.zeros((len(inputs["image"]), 5, *inputs["image"].shape[2:]), np.float32)}


def test_a_segmentation_is_scored_against_the_truth_and_not_what_a_reader_drew(tmp_path: Path,
                                                                               segmenter: Segmenter) -> None:
    """As synthetic images are, whose label maps are true. The segmenter finds what the reader drew: in one image a
    lesion that is none, in one none where there is one."""
    scores = {}
    for name, columns in (("read.h5", {"annotations": TOLD}), ("true.h5", {})):
        segment_dataset(path := write(tmp_path / name, **columns), segmenter)
        measure_dataset(path)
        with open_dataset(path) as dataset:
            scores[name] = dataset.segmentation("tiny-segmenter").scores
            assert outcome(read_samples(dataset, "tiny-segmenter"), "infarct")[::5] == ["false", "missed"]
    assert np.array_equal(scores["read.h5"], scores["true.h5"], equal_nan=True)


@pytest.mark.parametrize("argument", [{"path": None}, {"segmenter": "exported/lge-segmenter"}, {"workers": 0},
                                      {"workers": "2"}, {"batch_size": 0}, {"batch_size": 1.5}])
def test_what_nothing_can_be_evaluated_with_is_refused(tmp_path: Path, segmenter: Segmenter, argument: dict) -> None:
    before = write(tmp_path / "a.h5").read_bytes()
    with pytest.raises(InputError, match="path" if "path" in argument else next(iter(argument))):
        evaluate_dataset(**{"path": tmp_path / "a.h5", "segmenter": segmenter, **argument})
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]
