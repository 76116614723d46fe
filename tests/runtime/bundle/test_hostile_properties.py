"""Properties of the parsers, over inputs that hypothesis makes: a round trip, or nothing but a CldmError."""

import json
from contextlib import suppress
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cldm_runtime.bundle.read_manifest import read_manifest
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import BundleError, CldmError, InputError, list_faults
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner,
                                                                                         max_size=4), max_leaves=8)
CELLS = st.one_of(st.text(max_size=12), st.floats().map(str), st.sampled_from(["", "0.5", "=1", "nan", "1e999", '"']))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], other)
    return copy


@MANY
@given(name=st.text(), quality=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
       share=st.floats(0, 1), tolerance=st.floats(0, 1e300))
def test_a_manifest_survives_the_round_trip(tiny_generator, name, quality, share, tolerance):
    value = json.loads((tiny_generator / "manifest.json").read_text())
    value |= {"name": name, "quality": quality}
    value["sampling"]["eta"] = share
    value["reference"]["tolerances"]["loop/image"] = tolerance
    manifest = read_manifest(json.dumps(value))
    assert read_manifest(manifest.to_json()) == manifest
    assert (manifest.name, manifest.quality, manifest.sampling.eta) == (name, quality, share)


@MANY
@given(data=st.data(), other=JSON)
def test_a_manifest_with_any_value_replaced_is_read_or_refused(tiny_generator, data, other):
    value = json.loads((tiny_generator / "manifest.json").read_text())
    value["schedule"]["alphas_cumprod"] = [0.9, 0.1]
    value["schedule"]["train_timesteps"] = value["sampling"]["steps"] = 2
    changed = replaced(value, data.draw(st.sampled_from(places(value))), other)
    with suppress(BundleError):
        manifest = read_manifest(json.dumps(changed))
        assert read_manifest(manifest.to_json()) == manifest


@MANY
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=4),
       header=st.lists(st.sampled_from(["slice_position", "weight", "label", "rotation_deg", "", "x"]), max_size=4))
def test_a_grid_of_any_cells_is_read_or_refused(tmp_path, rows, header):
    file = tmp_path / "grid.csv"
    lines = [",".join(cells) for cells in (header, *rows)]
    file.write_bytes("\n".join(lines).encode(errors="surrogatepass"))
    with suppress(InputError):
        grid = read_grid(file, get_domain("lge"))
        assert grid.counts(100).sum() == 100
        assert all(0 <= value <= 1 for row in grid.rows for value in row.request.values())


@MANY
@given(number=st.floats(0, 1), weight=st.floats(1e-3, 1e9))
def test_numbers_of_a_grid_are_read_as_they_were_written(tmp_path, number, weight):
    file = tmp_path / "grid.csv"
    file.write_text(f"slice_position,weight\n{number!r},{weight!r}\n")
    row = read_grid(file, get_domain("lge")).rows[0]
    assert (row.request, row.weight) == ({"slice_position": number}, weight)


@MANY
@given(name=st.sampled_from(["format", "format_version", "complete", "domain"]),
       value=st.one_of(st.integers(-2**63, 2**63 - 1), st.floats(), st.text(alphabet=st.characters(codec="utf-8")).map(
           lambda text: text.replace("\0", "")), st.lists(st.integers(0, 9), max_size=3)))
def test_a_dataset_with_any_header_is_read_or_refused(tmp_path, name, value):
    file = tmp_path / "any.h5"
    with create_dataset(file, DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0)), overwrite=True) as writer:
        writer.append(images=np.zeros((1, 1, 8, 8), np.float32))
    with h5py.File(file, "r+") as target:
        target.attrs[name] = value
    with suppress(CldmError), open_dataset(file) as dataset:
        assert len(dataset) == 1 and isinstance(dataset.domain, str)


@given(st.text())
def test_a_message_says_everything_and_nothing_that_a_terminal_would_act_on(text):
    message = str(BundleError(text))
    assert message.replace("\n", "").isprintable()
    assert message == text or not text.replace("\n", "").isprintable()
    assert str(BundleError(message)) == message


@pytest.mark.parametrize("count", [1, 200, 201, 5000])
def test_a_list_of_faults_stays_short_and_says_how_many_there_are(count):
    text = list_faults("headline", ["fault"] * count)
    assert text.count("- fault") == min(count, 200)
    assert text.endswith(f"- ... and {count - 200} more") == (count > 200)


def test_a_message_without_end_is_cut():
    assert len(str(InputError("x" * 1_000_000))) == 65_536
