"""Generation: samples that depend on themselves alone, files that are the same however they came about."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.errors import BundleError, DatasetError, InputError, InterruptedRun
from cldm_runtime.generation import canvas
from cldm_runtime.generation import run as generate
from cldm_runtime.generation.run import Plan, check_file, generate_dataset, parts_folder
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import FreeRequests, GridRequests, mask_requests
from cldm_runtime.store import open_dataset

ATTRIBUTES = {"infarct_size": [0.1, 0.2], "transmurality": [0.5, 0.6], "endocardial_surface_length": [0.18, 0.3],
              "slice_position": 0.5}


@pytest.fixture
def model(tiny_generator: Path) -> Generator:
    return Generator.load(tiny_generator)


@pytest.fixture
def guided(tiny_guided: Path) -> Generator:
    return Generator.load(tiny_guided)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cldm_runtime.runs.run.PART_SAMPLES", 4)


def make_plan(model: Generator, samples: int = 10, seed: int = 5, **settings: object) -> Plan:
    """Squares of infarct, which cost less to make than anatomies."""
    masks = np.zeros((3, 128, 128), dtype=np.uint8)
    for label, mask in enumerate(masks, start=1):
        mask[32:64, 32:64] = label
    source = mask_requests(ArrayMasks(masks), model.canvas, "masks")
    return Plan(model, source, samples, seed, model.settings(**settings))  # type: ignore[arg-type]


def make_grid_plan(model: Generator, samples: int = 10) -> Plan:
    source = GridRequests.spread(grid_from_mapping(ATTRIBUTES, model.domain), samples, model.canvas)
    return Plan(model, source, samples, 5, model.settings())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Stop:
    """A progress function that stops the run, as Ctrl-C would, once so many samples are done."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, done: int, total: int) -> None:
        if done >= self.at:
            raise KeyboardInterrupt


def test_images_show_their_masks(model: Generator) -> None:
    images, masks = model.sample(attributes=ATTRIBUTES, seed=0)
    assert images.shape == (2, 1, 128, 128) and images.dtype == np.float32 and masks.shape == (2, 128, 128)
    means = [images[:, 0][masks == label].mean() for label in (0, 1, 2, 3)]
    assert means == pytest.approx([0.20, 0.50, 0.05, 0.95], abs=0.03)  # the greys of the tiny bundle


def test_the_seed_decides(model: Generator) -> None:
    first, again, other = (model.sample(attributes=ATTRIBUTES, seed=seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_given_masks_are_shown(model: Generator) -> None:
    masks = model.sample(attributes=ATTRIBUTES, seed=0)[1]
    images, shown = model.sample(masks=masks, seed=1, n=3)
    assert np.array_equal(shown, masks[[0, 1, 0]]) and images.shape == (3, 1, 128, 128)


def test_a_sample_is_the_same_in_any_run_with_the_same_batches(model: Generator) -> None:
    few = model.sample(attributes=ATTRIBUTES, seed=0, n=3, batch_size=4)[0]
    many = model.sample(attributes=ATTRIBUTES, seed=0, n=8, batch_size=4)[0]
    assert np.array_equal(few, many[:3])


@pytest.mark.parametrize("argument", [{"batch_size": 0}, {"steps": 0}, {"steps": "8"}, {"guidance": "x"}, {"n": 0}])
def test_what_no_sample_can_be_made_with_is_refused(model: Generator, argument: dict) -> None:
    with pytest.raises(InputError, match=f"{next(iter(argument))} = .*: expected"):
        model.sample(attributes=ATTRIBUTES, **argument)


@pytest.mark.parametrize("argument", [{"plan": None}, {"out": None}, {"workers": 0}, {"workers": "2"}])
def test_what_no_file_can_be_made_with_is_refused(model: Generator, tmp_path: Path, argument: dict) -> None:
    plan = Plan(model, FreeRequests(model.domain), 2, 0, model.settings())
    with pytest.raises(InputError, match=f"{next(iter(argument))}"):
        generate_dataset(**{"plan": plan, "out": tmp_path / "a.h5", **argument})
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_lazy_and_agrees_with_sample(model: Generator) -> None:
    request = {name: values[0] if isinstance(values, list) else values for name, values in ATTRIBUTES.items()}
    drawn = []

    def requests() -> object:
        while True:
            drawn.append(1)
            yield request

    stream = model.stream(requests(), seed=3)  # type: ignore[arg-type]
    batch = next(stream)
    assert batch.sample_index.tolist() == [0, 1, 2, 3] and len(drawn) <= 8
    assert np.array_equal(batch.images, model.sample(attributes=request, seed=3, n=4)[0])
    stream.close()


@pytest.mark.parametrize("sampler", ["dpm++2m", "unipc"])
def test_sampler_and_spacing_reach_the_batches(model: Generator, sampler: str) -> None:
    batch = next(model.stream([{"infarct_size": 0.2}], seed=3, steps=5, sampler=sampler, spacing="karras"))
    images, _ = model.sample(attributes={"infarct_size": 0.2}, seed=3, steps=5, sampler=sampler, spacing="karras",
                             batch_size=model.sampling.batch_size)
    assert np.array_equal(batch.images, images)
    assert model.settings(spacing="karras").spacing == "karras" != model.settings().spacing


def test_a_stochastic_sampler_is_reproducible_too(model: Generator) -> None:
    first, again = (model.sample(attributes=ATTRIBUTES, sampler="ddpm", steps=5)[0] for _ in range(2))
    assert np.array_equal(first, again)


def test_attributes_may_all_be_left_out(model: Generator) -> None:
    images, masks = model.sample(n=4, seed=np.uint64(3))
    assert images.shape[0] == 4 and masks is not None and len({each.tobytes() for each in masks}) == 4
    assert np.array_equal(model.sample({}, n=4, seed=3)[0], images)
    assert np.array_equal(next(model.stream([{}] * 4, seed=3, batch_size=4)).masks, masks)


def test_one_map_is_as_good_as_a_batch_of_one(model: Generator) -> None:
    masks = model.sample(n=1)[1]
    assert masks is not None
    assert np.array_equal(model.sample(masks=masks[0].tolist())[0], model.sample(masks=masks)[0])


def test_records_are_shown_in_a_line(model: Generator) -> None:
    assert repr(model).startswith("<Generator tiny-generator on cpu: 1 x (128, 128) pixels") and len(repr(model)) < 300
    batch = next(model.stream([{"infarct_size": 0.1}] * 3, batch_size=3))
    assert repr(batch) == "<Batch of samples 0 to 2, images (3, 1, 128, 128)>"


@pytest.mark.parametrize(("arguments", "message"), [
    ({"attributes": {"infarct_size": 7}}, "outside 0..1"), ({"attributes": 4}, "found 4, expected names with numbers"),
    ({"attributes": {"infarct_size": "large"}}, "infarct_size: found str, expected an array of numbers"),
    ({"n": 0}, "n = 0"), ({"n": 2.5}, r"n = 2\.5: expected an integer"), ({"n": "4"}, "n = '4'"),
    ({"seed": -1}, "seed = -1: expected an integer from 0 to"), ({"seed": 2**64}, "seed = 18446744073709551616"),
    ({"seed": None}, "seed = None"), ({"seed": 0.5}, r"seed = 0\.5"),
    ({"seed": np.random.default_rng(0)}, "draw an integer from it"),
    ({"batch_size": "4"}, "batch_size = '4'"),
    ({"attributes": {"infarct_size": 0}, "steps": 999}, "steps = 999"),
    ({"attributes": {"infarct_size": 0}, "sampler": "euler"}, "sampler 'euler' is unknown"),
    ({"attributes": {"infarct_size": 0}, "batch_size": -1}, "batch_size = -1"),
    ({"masks": np.zeros((1, 9, 9), np.uint8)}, r"masks have shape \(9, 9\)"),
    ({"masks": np.zeros(9, np.uint8)}, r"masks have shape \(9,\), expected one map of shape \("),
    ({"masks": "masks.npy"}, "masks: found str, expected an array of numbers"),
])
def test_what_cannot_be_done_is_said(model: Generator, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.sample(**arguments)  # type: ignore[arg-type]


def test_guidance_needs_a_null_condition(model: Generator) -> None:
    with pytest.raises(InputError, match="tiny-generator was trained without a null condition"):
        model.settings(guidance=2.0)
    assert model.settings(guidance=1, guidance_interval=(0.2, 0.8)).guidance == 1.0


@pytest.mark.parametrize(("arguments", "message"), [
    ({"guidance": -1.0}, "guidance = -1: expected a finite number of 0 or more"),
    ({"guidance": float("nan")}, "guidance = nan: expected a finite"),
    ({"guidance_interval": (0.8, 0.2)}, "guidance_interval = 0.8 to 0.2: expected 0 <= low < high <= 1"),
])
def test_guidance_out_of_bounds_is_refused(guided: Generator, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        guided.settings(**arguments)  # type: ignore[arg-type]


def test_guidance_shows_in_the_image(guided: Generator) -> None:
    masks = np.zeros((1, 128, 128), np.uint8)  # grey 0.2; the null is 0.4
    means = [guided.sample(masks=masks, guidance=weight)[0].mean() for weight in (0.0, 0.5, 1.0, 1.5)]
    assert means == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.02)


def test_a_stream_is_guided_by_the_bundles_weight_or_a_given_one(guided: Generator) -> None:
    request = {"infarct_size": 0.0, "slice_position": 0.5}
    default, two, one = (next(guided.stream([request], guidance=weight)).images for weight in (None, 2.0, 1.0))
    assert np.array_equal(default, two) and not np.array_equal(two, one)


def test_a_segmenter_does_not_generate(tiny_segmenter: Path) -> None:
    with pytest.raises(BundleError, match="generator"):
        Generator.load(tiny_segmenter)


def test_what_the_bundle_saw_in_training_fills_the_blanks(model: Generator) -> None:
    assert model.canvas.table is None
    stated = canvas._attribute_table(_Manifest(), model.domain)  # type: ignore[arg-type]
    assert np.array_equal(stated, [[0.0, np.nan, 0.0, 0.5]], equal_nan=True)


class _Distribution:
    columns = ("slice_position", "infarct_size", "transmurality", "endocardial_surface_length")
    rows = ((0.5, 0.0, None, 0.0),)


class _Manifest:
    attribute_distribution = _Distribution()


def test_the_file_holds_everything_about_the_run(model: Generator, tmp_path: Path) -> None:
    plan = make_grid_plan(model)
    with open_dataset(generate_dataset(plan, tmp_path / "new" / "a.h5")) as dataset:
        assert len(dataset) == 10 and dataset.sample_index.tolist() == list(range(10))
        assert dataset.grid_row.tolist() == [0, 1] * 5
        known = np.abs(dataset.requested - dataset.mask_attributes) <= model.domain.tolerances + 1e-6
        assert known.all() and dataset.mask_reasons.sum() == 0
        metadata = dataset.metadata
        assert metadata["manifest_sha256"] == hashlib.sha256(str(metadata["manifest"]).encode()).hexdigest()
        assert metadata["provider_requested"] == metadata["provider_obtained"] == "cpu" and metadata["seed"] == 5
        assert len(json.loads(str(metadata["step_table"]))["alpha"]) == 5
        assert (metadata["guidance"], metadata["guidance_interval"]) == (1.0, "[0.0, 1.0]")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.h5"]


def test_the_file_agrees_with_the_api(model: Generator, tmp_path: Path) -> None:
    with open_dataset(generate_dataset(make_grid_plan(model), tmp_path / "a.h5")) as dataset:
        images, masks = model.sample(attributes=ATTRIBUTES, seed=5, n=10, batch_size=4)
        assert np.abs(dataset.images() - images).max() <= 0.5 / 65535 + 1e-7 and np.array_equal(dataset.masks(), masks)


@pytest.mark.parametrize("at", [1, 6, 10])
def test_an_interrupted_run_resumes_to_the_same_bytes(model: Generator, tmp_path: Path, at: int) -> None:
    whole = generate_dataset(make_plan(model), tmp_path / "whole.h5")
    with pytest.raises(InterruptedRun, match="--resume"):
        generate_dataset(make_plan(model), tmp_path / "a.h5", progress=Stop(at))
    assert not (tmp_path / "a.h5").exists()
    assert digest(generate_dataset(make_plan(model), tmp_path / "a.h5", "resume")) == digest(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "whole.h5"]


def test_resuming_does_only_what_is_missing(model: Generator, tmp_path: Path) -> None:
    with pytest.raises(InterruptedRun):
        generate_dataset(make_plan(model), tmp_path / "a.h5", progress=Stop(8 + 1))
    seen: list[int] = []
    generate_dataset(make_plan(model), tmp_path / "a.h5", "resume", lambda done, total: seen.append(done))
    assert seen == [10]


def test_a_damaged_part_is_computed_again(model: Generator, tmp_path: Path) -> None:
    whole = generate_dataset(make_plan(model), tmp_path / "whole.h5")
    with pytest.raises(InterruptedRun):
        generate_dataset(make_plan(model), tmp_path / "a.h5", progress=Stop(9))
    part = parts_folder(tmp_path / "a.h5") / "part-00000.h5"
    part.write_bytes(part.read_bytes()[:5000])
    assert digest(generate_dataset(make_plan(model), tmp_path / "a.h5", "resume")) == digest(whole)


def test_resuming_with_other_guidance_is_refused(guided: Generator, tmp_path: Path) -> None:
    with pytest.raises(InterruptedRun):
        generate_dataset(make_plan(guided), tmp_path / "a.h5", progress=Stop(5))
    with pytest.raises(InputError, match=r"guidance was 2.0, now 1.5, guidance_interval was \[0.0, 1.0\], now \[0.2, "):
        generate_dataset(make_plan(guided, guidance=1.5, guidance_interval=(0.2, 1.0)), tmp_path / "a.h5", "resume")


def test_resuming_another_plan_is_refused_and_the_difference_named(model: Generator, tmp_path: Path) -> None:
    with pytest.raises(InterruptedRun):
        generate_dataset(make_plan(model), tmp_path / "a.h5", progress=Stop(5))
    with pytest.raises(InputError, match="seed was 5, now 6"):
        generate_dataset(make_plan(model, seed=6), tmp_path / "a.h5", "resume")
    with pytest.raises(InputError, match="unfinished run"):
        generate_dataset(make_plan(model), tmp_path / "a.h5")
    generate_dataset(make_plan(model, seed=6), tmp_path / "a.h5", "overwrite")


def test_resuming_a_finished_run_changes_nothing(model: Generator, tmp_path: Path) -> None:
    path = generate_dataset(make_plan(model), tmp_path / "a.h5")
    before = path.stat().st_mtime_ns
    generate_dataset(make_plan(model), path, "resume")
    assert path.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="samples was 10, now 11"):
        generate_dataset(make_plan(model, 11), path, "resume")


def test_an_existing_file_is_refused_then_overwritten(model: Generator, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        generate_dataset(make_plan(model), tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_text() == "mine"
    with open_dataset(generate_dataset(make_plan(model), tmp_path / "a.h5", "overwrite")) as dataset:
        assert len(dataset) == 10


def test_a_full_disk_is_noticed_before_the_run(model: Generator, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    usage = generate.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(generate.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DatasetError, match=r"10 samples need up to 742 kB .* has 1 kB free"):
        generate_dataset(make_plan(model), tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(model: Generator, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="not a folder"):
        generate_dataset(make_plan(model), tmp_path / "file" / "a.h5")
    with pytest.raises(InputError, match="is a folder"):
        generate_dataset(make_plan(model), tmp_path)


def test_a_failure_before_the_first_part_leaves_nothing(model: Generator, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise InputError("no anatomy")

    monkeypatch.setattr(GridRequests, "request", fail)
    with pytest.raises(InputError, match="no anatomy"):
        generate_dataset(make_grid_plan(model), tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.nii.gz", "X.NII", "x.png", "x.npz"])
def test_images_are_not_written_under_the_name_of_another_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"written as one HDF5 file.*ends in \.h5"):
        check_file(tmp_path / name, "refuse")
    check_file(tmp_path / "x.hdf5", "refuse")
