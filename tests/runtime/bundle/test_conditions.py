"""Conditions of every kind and source: what encoders are given, what images obey, and what manifests may say."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.conditions import condition_faults, encoder_inputs
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.generation.pipeline import Pipeline
from cldm_runtime.verification.replay import verify_bundle

DOMAIN = get_domain("lge")
NAMES = DOMAIN.attribute_names
ASKED = {"infarct_size": [0.1, 0.4, 0.0], "slice_position": 0.5}  # transmurality is undefined in the last row
OBEYED = [0.4 + 0.05 + 0.2, 0.4 + 0.2 + 0.2, 0.4]  # greys of the tiny bundle
BLANK = np.zeros((2, 128, 128), np.uint8)


@pytest.fixture
def manifest(tiny_attributes):
    return Bundle.load(tiny_attributes).manifest


def grey(images):
    """Mean of each image; the noise of the texture leaves about 0.0001, x and the timestep at most 0.01."""
    return pytest.approx(images.mean(axis=(1, 2, 3)), abs=0.02)


def with_input(manifest, role, **changes):
    """The manifest with another first input of a graph."""
    graph = manifest.graphs[role]
    inputs = (replace(graph.inputs[0], **changes), *graph.inputs[1:])
    return replace(manifest, graphs={**manifest.graphs, role: replace(graph, inputs=inputs)})


def with_condition(manifest, **changes):
    return replace(manifest, conditions=(replace(manifest.conditions[0], **changes),))


def test_undefined_attributes_are_0_and_marked(manifest):
    requested = np.array([[0.0, np.nan, 0.0, 0.5]], np.float32)
    inputs = encoder_inputs(manifest, DOMAIN, None, requested)
    assert {name: array.tolist() for name, array in inputs.items()} == {
        "attributes": [[0.0, 0.0, 0.0, 0.5]], "defined": [[1, 0, 1, 1]]}
    assert {array.dtype.name for array in inputs.values()} == {"float32"}


def test_attributes_go_in_the_order_of_the_manifest(manifest):
    turned = replace(manifest, attributes=(manifest.attributes[3], manifest.attributes[0]))
    inputs = encoder_inputs(turned, DOMAIN, None, np.array([[0.1, 0.2, 0.3, 0.4]], np.float32))
    assert inputs["attributes"] == pytest.approx(np.array([[0.4, 0.1]]))


def test_each_source_gives_its_own_inputs(tiny_both, tiny_shares, tiny_free):
    both, shares, free = (Bundle.load(folder).manifest for folder in (tiny_both, tiny_shares, tiny_free))
    requested = np.zeros((2, 4), np.float32)
    assert sorted(encoder_inputs(both, DOMAIN, BLANK, requested)) == ["attributes", "defined", "one_hot"]
    assert sorted(encoder_inputs(shares, DOMAIN, BLANK, requested)) == ["one_hot"]
    assert encoder_inputs(free, DOMAIN, None, requested) == {} and free.sources == ()


def test_images_obey_attributes_and_have_no_masks(tiny_attributes):
    images, masks = Generator.load(tiny_attributes).sample(attributes=ASKED, seed=1)
    assert masks is None and grey(images) == OBEYED


def test_masks_given_to_an_attribute_bundle_are_measured(tiny_attributes, tiny_generator):
    _, maps = Generator.load(tiny_generator).sample(attributes={"infarct_size": [0.3, 0.0]}, seed=2)
    images, masks = Generator.load(tiny_attributes).sample(masks=maps, seed=1)
    assert masks is None and grey(images) == [0.4 + 0.15 + 0.2, 0.4]


def test_tokens_can_come_from_masks(tiny_shares):
    images, masks = Generator.load(tiny_shares).sample(masks=np.stack([BLANK[0], BLANK[0] + 1]))
    assert grey(images) == [0.2, 0.5] and np.array_equal(masks[1], BLANK[0] + 1)


def test_masks_and_attributes_work_together(tiny_both):
    images, masks = Generator.load(tiny_both).sample(attributes={"infarct_size": [0.0, 0.4]}, seed=3)
    background = [image[0][mask == 0].mean() for image, mask in zip(images, masks, strict=True)]
    assert background == pytest.approx([0.2, 0.2 + 0.5 * 0.4 + 0.2], abs=0.02)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 1.5])
def test_tokens_are_guided_away_from_their_null(tiny_attributes, tiny_shares, weight):
    images, _ = Generator.load(tiny_attributes).sample(attributes=ASKED, guidance=weight, seed=1)
    assert grey(images) == [0.4 + weight * (obeyed - 0.4) for obeyed in OBEYED]
    images, _ = Generator.load(tiny_shares).sample(masks=BLANK, guidance=weight)
    assert grey(images) == [0.4 - weight * 0.2] * 2


def test_both_conditions_are_dropped_together(tiny_both):
    images, _ = Generator.load(tiny_both).sample(attributes={"infarct_size": 0.4}, guidance=0.0)
    assert grey(images) == [0.4] and images.std() < 0.02


def test_the_null_of_tokens_is_read_row_by_row(tiny_attributes):
    pipeline = Pipeline.open(Bundle.load(tiny_attributes))
    pipeline.manifest = with_condition(pipeline.manifest, null=tuple(range(8)))
    null = pipeline._null({"attribute_tokens": np.zeros((3, 4, 2), np.float32)})["attribute_tokens"]
    assert null.shape == (3, 4, 2) and null[2].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_bundle_without_conditions_draws_freely(tiny_free):
    model = Generator.load(tiny_free)
    images, masks = model.sample(n=3, seed=4)
    assert masks is None and grey(images) == [0.4] * 3
    batch = next(model.stream([{}, {}, {}], seed=4, batch_size=3))
    assert np.array_equal(batch.images, images) and np.isnan(batch.requested).all() and batch.masks is None


def test_what_is_asked_fits_the_conditions(tiny_free, tiny_attributes):
    with pytest.raises(InputError, match="has no conditions: nothing can be requested"):
        Generator.load(tiny_free).sample(attributes=ASKED)
    with pytest.raises(InputError, match="has no conditions"):
        next(Generator.load(tiny_free).stream([{"infarct_size": 0.1}]))
    with pytest.raises(InputError, match="has no conditions"):
        Generator.load(tiny_free).sample(masks=BLANK)
    with pytest.raises(InputError, match=r"transmurality = 0\.1 is below infarct_size = 0.3"):
        Generator.load(tiny_attributes).sample(attributes={"infarct_size": 0.3, "transmurality": 0.1})


def test_a_sample_depends_on_itself_alone(tiny_attributes):
    model = Generator.load(tiny_attributes)
    few, many = (model.sample(attributes=ASKED, seed=5, n=count, batch_size=4)[0] for count in (3, 9))
    streamed = next(model.stream([{"infarct_size": 0.1, "slice_position": 0.5}], seed=5)).images
    assert np.array_equal(few, many[:3]) and np.array_equal(streamed[0], few[0])


def test_what_is_left_out_is_completed_as_for_masks(tiny_attributes, tiny_generator):
    of_tokens, of_masks = (next(Generator.load(folder).stream([{"infarct_size": 0.2}], seed=6)).requested
                           for folder in (tiny_attributes, tiny_generator))
    assert np.isfinite(of_tokens).all() and np.array_equal(of_tokens, of_masks)


def test_attributes_outside_the_manifest_cannot_be_asked_for(tiny_attributes):
    model = Generator.load(tiny_attributes)
    model.manifest = replace(model.manifest, attributes=model.manifest.attributes[:1])
    with pytest.raises(InputError, match=r"transmurality is not a condition of this bundle\. It takes: infarct_size"):
        model.sample(attributes={"infarct_size": 0.2, "transmurality": 0.5})
    conditions = model.canvas.only_conditions(np.array([0.2, 0.5, 0.3, 0.5], np.float32))
    assert np.isfinite(conditions).tolist() == [True, False, False, False]


@pytest.mark.parametrize("kind", ["attributes", "shares", "both", "free"])
def test_every_kind_of_bundle_verifies(kind, _bundles):
    bundle = Bundle.load(_bundles / kind)
    checks = verify_bundle(bundle)
    assert condition_faults(bundle.manifest) == [] and all(check.passed for check in checks)
    assert {"loop/in/x", "loop/latent", "loop/image"} <= {check.name for check in checks}


@pytest.mark.parametrize(("changes", "fault"), [
    ({"encoder": "absent"}, "conditions.attributes: encoder absent is not among the graphs."),
    ({"source": "masks"}, "graphs.attribute_encoder.inputs: one_hot is missing; the source masks gives one_hot."),
    ({"source": "masks"}, "graphs.attribute_encoder.inputs.defined: the source masks gives one_hot only."),
    ({"feeds": "absent"}, "conditions.attributes: the denoiser has no input absent."),
    ({"feeds": "absent"}, "conditions.attributes: attribute_encoder has no output absent."),
    ({"feeds": "absent"}, "graphs.denoiser.inputs.attribute_tokens: no condition feeds it."),
    ({"kind": "spatial"}, "conditions.attributes: attribute_tokens is float32 ['N', 4, 2]; a spatial condition feeds "
                          "(N, channels, *spatial)."),
    ({"null": (0.0,) * 4}, "conditions.attributes.null: 4 values, expected the tokens of attribute_tokens, which are "
                           "4 x 2."),
    ({"null": (0.0,) * 9}, "conditions.attributes.null: 9 values, expected the tokens of attribute_tokens, which are "
                           "4 x 2."),
    ({"null": (float("inf"),) * 8}, "conditions.attributes.null: expected finite numbers."),
])
def test_faults_of_a_condition(manifest, changes, fault):
    assert fault in condition_faults(with_condition(manifest, **changes))


def test_faults_of_the_graphs_around_a_condition(manifest, tiny_generator):
    wide = with_input(manifest, "attribute_encoder", shape=("N", 5))
    assert condition_faults(wide) == [
        "graphs.attribute_encoder.inputs.attributes: float32 ['N', 5], expected float32 ['N', 4]."]
    half = with_input(manifest, "attribute_encoder", dtype="float16")
    assert "attributes: float16 ['N', 4], expected float32" in condition_faults(half)[0]
    mask = Bundle.load(tiny_generator).manifest
    small = with_input(mask, "mask_encoder", shape=("N", 5, 64, 64))
    assert "one_hot: float32 ['N', 5, 64, 64], expected float32 ['N', 5, 128, 128]" in condition_faults(small)[0]


def test_encoder_and_denoiser_agree_about_what_passes_between_them(manifest):
    encoder = manifest.graphs["attribute_encoder"]
    narrow = replace(encoder, outputs=(replace(encoder.outputs[0], shape=("N", 4, 3)),))
    assert condition_faults(replace(manifest, graphs={**manifest.graphs, "attribute_encoder": narrow})) == [
        "conditions.attributes: attribute_encoder gives attribute_tokens as float32 ['N', 4, 3], the denoiser takes "
        "float32 ['N', 4, 2]."]


def test_a_condition_stands_once_and_has_attributes(manifest):
    assert condition_faults(replace(manifest, conditions=manifest.conditions * 2)) == [
        "conditions: name attributes occurs 2 times.", "conditions: feeds attribute_tokens occurs 2 times."]
    assert "conditions.attributes: its source is attributes, but the manifest lists none." in condition_faults(
        replace(manifest, attributes=()))
