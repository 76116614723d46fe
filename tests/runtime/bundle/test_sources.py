"""The tables of sources and outputs: a kind is one entry, and what is missing or unknown is named."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.checks import consistency_faults
from cldm_runtime.bundle.conditions import encoder_inputs
from cldm_runtime.bundle.outputs import LABELS, draws_labels, output_of
from cldm_runtime.bundle.read_manifest import read_manifest
from cldm_runtime.bundle.sources import SOURCES, Source, inputs_from, needed_attributes, needs_maps
from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.requests.sources import Canvas, completed

DOMAIN = get_domain("lge")
DOUBLED = Source("shade", "given", shapes=lambda manifest: {"grey": (1,)},
                 inputs=lambda values, manifest, domain: {"grey": 2 * values})


@pytest.fixture
def manifest(tiny_attributes):
    return Bundle.load(tiny_attributes).manifest


def of_source(manifest, name):
    return replace(manifest, conditions=(replace(manifest.conditions[0], source=name),))


def test_a_new_kind_is_one_entry(manifest, monkeypatch):
    monkeypatch.setitem(SOURCES, "shade", DOUBLED)
    given = {"shade": np.ones((2, 1), np.float32)}
    assert inputs_from(of_source(manifest, "shade"), DOMAIN, given)["grey"].tolist() == [[2], [2]]
    assert not needs_maps(of_source(manifest, "shade")) and needed_attributes(manifest) == DOMAIN.attribute_names


def test_an_unknown_source_is_named(manifest):
    assert any("source: found 'smell', expected one of: masks, attributes" in fault
               for fault in consistency_faults(of_source(manifest, "smell")))


def test_what_a_source_lacks_is_named(manifest):
    with pytest.raises(InputError, match="makes images from masks, and none are given"):
        encoder_inputs(of_source(manifest, "masks"), DOMAIN, None, np.zeros((1, 4), np.float32))


def test_images_are_the_default_and_another_output_is_named(manifest):
    assert output_of(manifest).name == "image" and '"output"' not in manifest.to_json()
    with pytest.raises(BundleError, match=r"graphs\.decoder\.outputs: label_channels is missing"):
        read_manifest(replace(manifest, output="labels").to_json())
    with pytest.raises(BundleError, match="output: found 'sound', expected one of: image, labels"):
        read_manifest(replace(manifest, output="sound").to_json())


def test_without_an_anatomy_what_is_left_out_comes_from_the_training_data():
    domain = Declaration("organ", 2, {"organ": 1}).domain()
    table = np.arange(16, dtype=np.float64).reshape(2, 8)
    canvas = Canvas(domain, (8, 8), (1.0, 1.0), table, maps=False, attributes=domain.attribute_names)
    found = list(completed({"organ_area": 99.0}, Stream(0, 0, Purpose.CONDITION), canvas).values())
    assert found[0] == 99 and found[1:] in ([*range(1, 8)], [*range(9, 16)])
    assert completed({}, Stream(0, 0, Purpose.CONDITION), replace(canvas, table=None)) == {}


def drawing_labels(manifest, *shape):
    """The manifest with a decoder that draws label maps of that shape."""
    tensor = replace(manifest.graphs["decoder"].outputs[0], name="label_channels", shape=("N", *shape))
    decoder = replace(manifest.graphs["decoder"], outputs=(tensor,))
    return replace(manifest, output="labels", graphs={**manifest.graphs, "decoder": decoder})


def test_label_maps_have_a_channel_for_each_region_or_label(manifest):
    right = drawing_labels(manifest, 5, *manifest.image.shape)
    assert not consistency_faults(right) and draws_labels(right)
    assert (LABELS.channels(right), LABELS.value_range(right)) == (5, (0.0, 1.0))
    assert any("a channel for each of background, lv_cavity" in fault
               for fault in consistency_faults(drawing_labels(manifest, 3, *manifest.image.shape)))
    scanned = replace(right, graphs={**right.graphs, "acquisition": right.graphs["decoder"]})
    assert any("label maps have no scanner" in fault for fault in consistency_faults(scanned))
    assert any("only generators have it" in fault for fault in consistency_faults(replace(right, kind="segmenter")))


def test_given_images_are_what_the_encoder_takes(manifest):
    of_images = of_source(manifest, "images")
    images = np.random.default_rng(0).random((2, 1, *manifest.image.shape)).astype(np.float32)
    assert np.array_equal(inputs_from(of_images, DOMAIN, {"images": images})["image"], images)
    assert not needs_maps(of_images) and needed_attributes(of_images) == ()
    with pytest.raises(InputError, match="makes images from images, and none are given"):
        inputs_from(of_images, DOMAIN, {})
