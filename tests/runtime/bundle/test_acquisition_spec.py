"""The manifest's section on the last graph."""

import json
from dataclasses import replace

import numpy as np
import pytest

from acquisition_fixtures import acquisition_spec
from cldm_runtime.bundle.read_manifest import read_manifest
from cldm_runtime.errors import BundleError
from onnx_fixtures import make_generator


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = make_generator(tmp_path_factory.mktemp("spec") / "tiny", shape=(32, 32), latent=(8, 8),
                            acquisition=acquisition_spec())
    return (folder / "manifest.json").read_text()


def test_it_survives_the_round_trip(text: str) -> None:
    manifest = read_manifest(text)
    assert manifest.acquisition == acquisition_spec() and manifest.to_json() == text


def test_a_requested_level_replaces_the_number_that_is_drawn() -> None:
    spec, values = acquisition_spec(), np.full((3, 7), np.nan)
    values[:, 0] = np.nan, 0.09, 0.02
    numbers = spec.numbers_for({name: np.zeros(3, np.float32) for name in spec.inputs}, values)
    assert numbers[spec.inputs[0]].tolist() == [0, 2, -1]  # the table: 0.01, 0.03, 0.09 at -2, 0, 2
    assert all(not numbers[name].any() for name in spec.inputs[1:])


def test_images_get_the_values_that_they_are_to_have_however_values_are_correlated() -> None:
    spec, values = acquisition_spec(), np.full((1, 7), np.nan)
    values[:, :3] = 0.04, 1.6, 1.3
    drawn = {name: np.full(1, 0.7, np.float32) for name in spec.inputs}
    scan = spec.scan(spec.numbers_for(drawn, values))
    assert [scan.noise_level[0], scan.row_pixel_mm[0], scan.column_pixel_mm[0]] == pytest.approx([0.04, 1.6, 1.3])


def test_the_decoders_own_noise_is_left_room_for() -> None:
    still = {name: np.zeros(1) for name in acquisition_spec().inputs}
    scan = acquisition_spec(residual_noise=0.018).scan(still)
    assert scan.noise_level == pytest.approx([0.024]) and scan.row_pixel_mm.tolist() == [1.4]
    assert acquisition_spec(residual_noise=0.05).scan(still).noise_level == [0]


def test_values_follow_their_correlation() -> None:
    normals = {name: np.zeros(1) for name in acquisition_spec().inputs} | {"row_pixel_mm_score": np.full(1, 2.0)}
    assert acquisition_spec().scan(normals).column_pixel_mm == pytest.approx([1.5 + 0.8 * 0.3])


@pytest.mark.parametrize(("change", "fault"), [
    ({"values": ()}, "acquisition: values: found "), ({"correlation": (1.0,)}, "1 numbers, expected 28"),
    ({"residual_noise": -1.0}, "residual_noise of 0 or more"), ({"taper_weights": (1.0,)}, "as many taper_weights")])
def test_faulty_numbers_are_named(change: dict[str, object], fault: str) -> None:
    assert fault in "\n".join(replace(acquisition_spec(), **change).faults())  # type: ignore[arg-type]


def test_section_and_graph_belong_together(text: str) -> None:
    value = json.loads(text)
    del value["acquisition"]
    with pytest.raises(BundleError, match="both the section and the graph of that name"):
        read_manifest(json.dumps(value))


def test_the_graph_takes_a_number_for_each_value(text: str) -> None:
    value = json.loads(text)
    value["graphs"]["acquisition"]["inputs"] = value["graphs"]["acquisition"]["inputs"][:-1]
    with pytest.raises(BundleError, match="the number for right"):
        read_manifest(json.dumps(value))
