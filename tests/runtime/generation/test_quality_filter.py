"""Quality filters: which candidate is kept, and that nothing but bundle, seed, index and try decides it."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime import Generator, Segmenter
from cldm_runtime.errors import DatasetError, InputError, InterruptedRun
from cldm_runtime.generation import filter_counts, quality_filter
from cldm_runtime.generation.batch import Batch
from cldm_runtime.generation.quality_filter import QualityFilter, Values, known_names, reference_attributes
from cldm_runtime.generation.repair import repair_dataset
from cldm_runtime.generation.run import Plan, generate_dataset, generate_shard, merge_shards, parts_folder
from cldm_runtime.metrics.overlap import score
from cldm_runtime.noise import seed_of_try
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.moved_maps import MaskGridRequests
from cldm_runtime.requests.pairs import paired
from cldm_runtime.requests.sources import MaskRequests, SampleRequest, mask_requests
from cldm_runtime.runs.shards import Shard
from cldm_runtime.store import FILTER, FilterRecord, check_samples, expected_samples, open_dataset, read_filter
from segmenter_fixtures import heart

RULE = "infarct_dice >= 0.975 and abs(infarct_size_error) <= 0.075"
SAMPLES = 20
HEARTS = np.stack([heart(angle, 32) for angle in (0, 60, 120, 200)])
SEED = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator whose grain often misleads a segmenter that reads its greys."""
    onnx_fixtures = pytest.importorskip("onnx_fixtures")
    made = tmp_path_factory.mktemp("noisy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_fixtures, "TEXTURE", np.float32(0.055))
        onnx_fixtures.make_generator(made / "generator", shape=(32, 32), latent=(8, 8), name="noisy")
    onnx_fixtures.make_segmenter(made / "lge-segmenter", shape=(32, 32))
    return made


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cldm_runtime.runs.run.PART_SAMPLES", 8)
        yield


@pytest.fixture(scope="module")
def model(folder: Path) -> Generator:
    return Generator.load(folder / "generator")


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Segmenter:
    return Segmenter.load(folder / "lge-segmenter")


@pytest.fixture(scope="module")
def plain(model: Generator, folder: Path) -> Path:
    """A file of all samples."""
    return generate_dataset(make_plan(model, None), folder / "plain.h5")


@pytest.fixture(scope="module")
def kept(model: Generator, segmenter: Segmenter, folder: Path) -> Path:
    """A file of those that meet RULE."""
    return generate_dataset(make_plan(model, segmenter), folder / "kept.h5")


def hearts(model: Generator) -> MaskRequests:
    return mask_requests(ArrayMasks(HEARTS), model.canvas, "hearts")


def make_plan(model: Generator, segmenter: Segmenter | None, rule: str = RULE, tries: int = 4, samples: int = SAMPLES,
              **settings: object) -> Plan:
    keep = None if segmenter is None else QualityFilter.of(rule, model, segmenter, tries)
    return Plan(model, hearts(model), samples, SEED, model.settings(**settings), keep)  # type: ignore[arg-type]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_of(path: Path) -> FilterRecord:
    with open_dataset(path) as dataset:
        record = read_filter(dataset.metadata, path)
    assert record is not None
    return record


def candidate(model: Generator, index: int, number: int) -> np.ndarray:
    """Try `number` of a sample, made alone."""
    requests = [hearts(model).request(SEED, index)]
    return model.batch(requests, seed_of_try(SEED, number), model.settings(batch_size=1)).images[0]


def judged(segmenter: Segmenter, image: np.ndarray, mask: np.ndarray) -> tuple[float, bool]:
    """The Dice of the scar, and RULE by hand: Dice over scar pixels, shares of the wall."""
    found = segmenter.segment(np.rint(image[None] * 65535) / 65535)[0]
    a, b = found >= 3, mask >= 3
    dice = 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 1.0
    return float(dice), bool(dice >= 0.975 and abs(a.sum() / (found >= 2).sum() - b.sum() / (mask >= 2).sum()) <= 0.075)


def test_the_first_candidate_that_passes_is_kept(model: Generator, segmenter: Segmenter, kept: Path) -> None:
    tries, dice = {}, []
    for index in range(SAMPLES):
        candidates = [judged(segmenter, candidate(model, index, number), HEARTS[index % 4]) for number in range(4)]
        tries[index] = next((number for number, (_, passed) in enumerate(candidates, 1) if passed), 0)
        dice += [value for value, _ in candidates[:tries[index] or 4]]
    assert {0, 1, 2, 3} <= set(tries.values())  # the case is a hard one
    assert record_of(kept).means["infarct_dice"] == pytest.approx(np.mean(dice), abs=1e-6)
    with open_dataset(kept) as dataset:
        passed = [index for index in range(SAMPLES) if tries[index]]
        assert dataset.sample_index.tolist() == passed and dataset.tries.tolist() == [tries[i] for i in passed]
        for row, index in enumerate(passed):
            expected = candidate(model, index, tries[index] - 1)
            assert np.allclose(dataset.images(row), expected, atol=1e-5)
        assert np.array_equal(dataset.masks(), HEARTS[np.array(passed) % 4])


def test_the_record_counts_what_became_of_every_sample(kept: Path) -> None:
    record = record_of(kept)
    with open_dataset(kept) as dataset:
        tries = dataset.tries
        assert record.accepted == len(dataset) and record.asked == SAMPLES
        assert sorted([*dataset.sample_index.tolist(), *record.given_up]) == list(range(SAMPLES))
        assert record.rejected == int((tries - 1).sum()) + 4 * len(record.given_up)
        assert not check_samples(dataset, expected_samples(SAMPLES, record))
    assert record.segmenter == "tiny-segmenter"
    for name in ("infarct_size", "transmurality", "endocardial_surface_length"):
        bins = [each for each in record.bins if each.attribute == name]
        defined = SAMPLES if name != "transmurality" else SAMPLES * 3 // 4
        assert len(bins) == 5 and sum(each.asked for each in bins) == defined
        assert all(each.asked == each.accepted + each.given_up for each in bins)
    assert sum(each.rejected for each in record.bins if each.attribute == "infarct_size") == record.rejected
    assert sum(each.given_up for each in record.bins if each.attribute == "infarct_size") == len(record.given_up)


def test_a_rule_that_all_meet_changes_nothing(model: Generator, segmenter: Segmenter, plain: Path,
                                              tmp_path: Path) -> None:
    every = generate_dataset(make_plan(model, segmenter, "infarct_dice >= 0"), tmp_path / "every.h5")
    with open_dataset(plain) as before, open_dataset(every) as after:
        assert np.array_equal(before.stored_images(), after.stored_images())
        assert np.array_equal(before.checksum, after.checksum) and after.tries.tolist() == [1] * SAMPLES


def test_first_tries_are_those_of_a_run_without_a_filter(plain: Path, kept: Path) -> None:
    with open_dataset(plain) as before, open_dataset(kept) as after:
        first = after.tries == 1
        rows = after.sample_index[first]
        assert len(rows) > 0 and np.array_equal(before.stored_images(rows), after.stored_images()[first])
        later = after.sample_index[~first]
        assert not (before.stored_images(later) == after.stored_images()[~first]).all(axis=(1, 2, 3)).any()


def test_the_file_passes_its_own_rule(model: Generator, segmenter: Segmenter, kept: Path) -> None:
    """The images are judged as they are stored."""
    with open_dataset(kept) as dataset:
        found = segmenter.segment(dataset.images())
        dice = score(found, dataset.masks(), model.domain.labels, (1.0, 1.0))["infarct_dice"]
        assert (np.nan_to_num(dice, nan=1.0) >= 0.975).all()


def test_the_batch_size_decides_nothing(model: Generator, segmenter: Segmenter, kept: Path, tmp_path: Path) -> None:
    three = generate_dataset(make_plan(model, segmenter, batch_size=3), tmp_path / "three.h5")
    with open_dataset(kept) as a, open_dataset(three) as b:
        assert np.array_equal(a.tries, b.tries) and np.array_equal(a.sample_index, b.sample_index)
        assert np.allclose(a.images(), b.images(), atol=2e-5)


def test_a_stopped_run_goes_on_to_the_same_file(model: Generator, segmenter: Segmenter, kept: Path,
                                                tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    out = tmp_path / "again.h5"
    with pytest.raises(InterruptedRun):
        generate_dataset(make_plan(model, segmenter), out, progress=stop)
    assert parts_folder(out).exists()
    generate_dataset(make_plan(model, segmenter), out, "resume")
    assert digest(out) == digest(kept)
    with pytest.raises(InputError, match="another plan"):
        generate_dataset(make_plan(model, segmenter, tries=5), out, "resume")


def test_shards_and_workers_make_the_same_file(model: Generator, segmenter: Segmenter, kept: Path,
                                               tmp_path: Path) -> None:
    plan = make_plan(model, segmenter)
    for number in (1, 0):
        generate_shard(plan, tmp_path / "sharded.h5", Shard(number, 2))
    assert digest(merge_shards(plan, tmp_path / "sharded.h5")) == digest(kept)
    assert digest(generate_dataset(plan, tmp_path / "workers.h5", workers=2)) == digest(kept)


def test_a_part_without_any_accepted_sample_is_no_obstacle(model: Generator, segmenter: Segmenter,
                                                           tmp_path: Path) -> None:
    """Eight samples a part; only the map without a scar can pass."""
    source = mask_requests(ArrayMasks(HEARTS[[1] * 8 + [0] * 8]), model.canvas, "hearts")
    keep = QualityFilter.of("infarct_size_reference == 0", model, segmenter, 2)
    out = generate_dataset(Plan(model, source, 16, SEED, model.settings(), keep), tmp_path / "kept.h5")
    assert record_of(out).given_up == tuple(range(8))
    with open_dataset(out) as dataset:
        assert dataset.sample_index.tolist() == list(range(8, 16))


def test_rows_of_a_grid_that_were_given_up_are_named(model: Generator, segmenter: Segmenter, tmp_path: Path) -> None:
    grid = grid_from_mapping({"rotation_deg": [0.0, 90.0]}, model.domain, for_masks=True)
    source = MaskGridRequests.spread(grid, 8, hearts(model))
    keep = QualityFilter.of("infarct_size_reference > 0.3", model, segmenter, 2)
    record = record_of(generate_dataset(Plan(model, source, 8, SEED, model.settings(), keep), tmp_path / "kept.h5"))
    assert record.accepted == 4 and record.given_up_rows == {"0": 2, "1": 2}


def test_the_two_of_a_pair_are_kept_in_the_same_try(model: Generator, segmenter: Segmenter, tmp_path: Path) -> None:
    """The first has no scar, and the noise of the second."""
    source = paired(hearts(model), model.canvas, 4)
    keep = QualityFilter.of("infarct_size_error <= 0.005", model, segmenter, 3)
    out = generate_dataset(Plan(model, source, 24, SEED, model.settings(), keep), tmp_path / "kept.h5")
    with open_dataset(out) as dataset:
        tries, images = dataset.tries, dataset.images()[:, 0]
        assert 0 < len(tries) < 24 and (dataset.sample_index[::2] + 1).tolist() == dataset.sample_index[1::2].tolist()
        assert np.array_equal(tries[::2], tries[1::2]) and len(set(tries.tolist())) > 1
        outside = np.abs(np.arange(32) - 15.5) > 12  # of the hearts
        assert np.allclose(images[::2][:, outside], images[1::2][:, outside], atol=1e-4)
        for pair in range(len(tries) // 2):
            number = dataset.sample_index[2 * pair] // 2
            verdicts = []
            for attempt in range(3):
                requests = [source.request(SEED, 2 * int(number) + second) for second in (0, 1)]
                batch = model.batch(requests, seed_of_try(SEED, attempt), model.settings(batch_size=2))
                verdicts.append(bool(keep.rule.holds(values_of(keep, model, batch)).all()))
            assert verdicts.index(True) + 1 == tries[2 * pair]


def values_of(keep: QualityFilter, model: Generator, batch: Batch) -> Values:
    return keep.values(batch, model, reference_attributes(batch, model))


def test_the_reference_is_measured_once_whatever_the_tries(model: Generator, segmenter: Segmenter, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    original = quality_filter.reference_attributes

    def counted(batch: Batch, generator: Generator) -> np.ndarray:
        measured.extend(batch.sample_index.tolist())
        return original(batch, generator)

    monkeypatch.setattr(quality_filter, "reference_attributes", counted)
    plan = make_plan(model, segmenter)
    _, sums = quality_filter.filtered(model, plan.source, plan.keep, range(20), SEED, plan.settings)
    assert sorted(measured) == list(range(20)) and max(each.count for each in sums.values()) > 20


def test_a_filter_that_nothing_passes_writes_nothing(model: Generator, segmenter: Segmenter, tmp_path: Path) -> None:
    plan = make_plan(model, segmenter, "infarct_dice > 1", tries=2)
    with pytest.raises(filter_counts.NothingPassed, match=r"none of 20 samples passed in 2 tries.*infarct_dice 0.7"):
        generate_dataset(plan, tmp_path / "kept.h5")
    assert list(tmp_path.iterdir()) == []
    assert issubclass(filter_counts.NothingPassed, InputError)  # exit code 2


def test_a_damaged_file_is_computed_again(model: Generator, segmenter: Segmenter, kept: Path, tmp_path: Path) -> None:
    plan, out = make_plan(model, segmenter), Path(shutil.copy(kept, tmp_path / "kept.h5"))
    assert repair_dataset(plan, out) == 0
    with h5py.File(out, "r+") as file:
        file["images"][3, 0, 5, 5] ^= 1
    assert repair_dataset(plan, out) == len(plan.parts) and digest(out) == digest(kept)


def test_the_plan_states_the_filter(model: Generator, segmenter: Segmenter) -> None:
    stated = json.loads(make_plan(model, segmenter).text)["keep"]
    assert (stated["rule"], stated["tries"], stated["segmenter"]) == (RULE, 4, "tiny-segmenter")
    assert stated["segmenter_sha256"] == segmenter.bundle.manifest_sha256
    assert "keep" not in json.loads(make_plan(model, None).text)


def test_scores_and_errors_are_decided_for_every_sample(model: Generator, segmenter: Segmenter) -> None:
    """Images drawn by hand: agreement on absence, a miss, a false detection, and a scar of twice the size."""
    greys = np.array([0.20, 0.50, 0.05, 0.95, 0.75], np.float32)
    shown = np.stack([heart(angle, 32) for angle in (0, 0, 60, 120)])
    asked = np.stack([heart(angle, 32) for angle in (0, 60, 0, 60)])
    keep = QualityFilter.of("infarct_dice > 0 and infarct_hd_mm > 0 and infarct_size_error > 0 and "
                            "transmurality_error > 0 and transmurality > 0 and infarct_size_reference > 0",
                            model, segmenter)
    batch = model.batch([mask_requests(ArrayMasks(asked), model.canvas, "m").request(0, i) for i in range(4)], 0,
                        model.settings())._replace(images=greys[shown][:, None])
    values = values_of(keep, model, batch)
    assert values["infarct_dice"][:3].tolist() == [1.0, 0.0, 0.0] and values["infarct_dice"][3] == pytest.approx(2 / 3,
                                                                                                            abs=0.02)
    assert values["infarct_hd_mm"][:3].tolist() == [0.0, np.inf, np.inf] and 5 < values["infarct_hd_mm"][3] < 20
    assert values["infarct_size_error"] == pytest.approx([0, -1 / 6, 1 / 6, 1 / 6], abs=0.02)
    assert values["transmurality_error"][:3].tolist() == [0.0, np.inf, np.inf]
    assert abs(values["transmurality_error"][3]) < 0.1
    assert np.isnan(values["transmurality"][:2]).all() and values["infarct_size_reference"][0] == 0


def test_names_are_those_of_the_bundle(model: Generator, tiny_attributes: Path, tiny_free: Path) -> None:
    assert {"infarct_dice", "myocardium_hd95_mm", "infarct_size", "infarct_size_error"} <= set(known_names(model))
    assert not [name for name in known_names(model) if name.startswith("slice_position")]
    of_attributes = known_names(Generator.load(tiny_attributes))
    assert "infarct_size_error" in of_attributes and not [name for name in of_attributes if "dice" in name]
    assert known_names(Generator.load(tiny_free)) == ("infarct_size", "transmurality", "endocardial_surface_length")


def test_images_without_label_maps_are_judged_by_the_request(tiny_attributes: Path, tiny_segmenter: Path) -> None:
    model = Generator.load(tiny_attributes)
    keep = QualityFilter.of("infarct_size_error < 1", model, Segmenter.load(tiny_segmenter), 2)
    request = SampleRequest(0, -1, np.array([0.2, 0.5, 0.3, 0.5], np.float32), None)
    batch = model.batch([request], 0, model.settings())
    images = np.full((1, 1, 128, 128), 0.2, np.float32)
    images[0, 0, 40:80, 40:80], images[0, 0, 50:70, 50:70], images[0, 0, 40:50, 40:80] = 0.05, 0.5, 0.95
    values = values_of(keep, model, batch._replace(images=images))
    assert values["infarct_size_error"] == pytest.approx([400 / 1200 - 0.2], abs=1e-4)


def test_a_segmenter_of_other_images_is_refused(model: Generator, segmenter: Segmenter) -> None:
    spec = replace(segmenter.spec, normalisation=segmenter.spec.normalisation * 2)
    with pytest.raises(InputError, match="channels: 2, those of the generated images: 1"):
        QualityFilter.of(RULE, model, replace(segmenter, spec=spec))


@pytest.mark.parametrize("tries", [0, -1, "3"])
def test_a_number_of_tries_that_is_none_is_refused(model: Generator, segmenter: Segmenter, tries: object) -> None:
    with pytest.raises(InputError, match="tries = "):
        QualityFilter.of(RULE, model, segmenter, tries)  # type: ignore[arg-type]


def test_a_damaged_record_is_refused() -> None:
    for text in ("{", "[]", '{"rule": 1}'):
        with pytest.raises(DatasetError, match="quality_filter is damaged"):
            read_filter({FILTER: text}, "a.h5")


def test_seeds_of_tries_are_apart() -> None:
    seeds = {seed_of_try(seed, number) for seed in range(20) for number in range(20)}
    assert len(seeds) == 400 and seed_of_try(7, 0) == 7 and max(seeds) < 2**63
