"""One batch through the graphs: what is drawn for a sample depends on nothing but the sample."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import DistilledSpec
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.generation.pipeline import Pipeline, decoder_noise, distilled_faults, initial_noise
from cldm_runtime.noise import Purpose, Stream


@pytest.fixture
def bundle(tiny_generator):
    return Bundle.load(tiny_generator)


def sources(bundle, indices):
    masks = np.stack([np.full((128, 128), index % 5, np.uint8) for index in indices])
    return {"one_hot": bundle.domain().labels.one_hot(masks)}


def test_noise_is_that_of_the_samples_streams(bundle):
    graphs = bundle.manifest.graphs
    x = initial_noise(graphs["denoiser"], 7, np.array([3, 9]))
    np.testing.assert_array_equal(x[1], Stream(7, 9, Purpose.INITIAL).normals(x.shape[1:]))
    texture = decoder_noise(graphs["decoder"], 7, np.array([3]))["texture_noise"]
    np.testing.assert_array_equal(texture[0], Stream(7, 3, Purpose.TEXTURE).normals(texture.shape[1:]))


def test_a_sample_does_not_depend_on_its_batch(bundle):
    pipeline = Pipeline.open(bundle)
    plan = pipeline.plan(bundle.manifest.sampling)
    whole = pipeline.sample(sources(bundle, range(4)), plan, 1, range(4))
    alone = pipeline.sample(sources(bundle, [2]), plan, 1, [2])
    np.testing.assert_allclose(whole.latent[2], alone.latent[0], atol=1e-6)
    np.testing.assert_allclose(whole.image[2], alone.image[0], atol=1e-6)


def test_another_seed_gives_another_latent(bundle):
    pipeline = Pipeline.open(bundle)
    plan = pipeline.plan(bundle.manifest.sampling)
    one, other = (pipeline.sample(sources(bundle, [0]), plan, seed, [0]).latent for seed in (1, 2))
    assert np.abs(one - other).max() > 0


def test_settings_that_do_not_fit_are_refused(bundle):
    pipeline = Pipeline.open(bundle)
    with pytest.raises(InputError, match="steps"):
        pipeline.plan(replace(bundle.manifest.sampling, steps=0))


@pytest.mark.parametrize("asked", [{"steps": 3}, {"sampler": "ddpm"}, {"spacing": "leading"}, {"eta": 0.5}])
def test_a_distilled_bundle_serves_its_own_steps_alone(bundle, asked):
    manifest = replace(bundle.manifest, distilled=DistilledSpec("teacher 1.0", "0" * 64, 2.0))
    assert list(distilled_faults(manifest, manifest.sampling)) == []
    (fault,) = distilled_faults(manifest, replace(manifest.sampling, **asked))
    assert "was distilled for 4 steps of ddim, trailing spacing, eta 0" in fault
    (fault,) = distilled_faults(manifest, replace(manifest.sampling, guidance=3.0))
    assert "guidance 2 is part of the weights" in fault


class Counting:
    """An engine that notes the batch sizes it was called with."""

    def __init__(self, engine):
        self.engine, self.sizes = engine, []

    def run(self, inputs):
        self.sizes.append(len(inputs["x"]))
        return self.engine.run(inputs)


@pytest.fixture
def guided(tiny_guided):
    """The pipeline of a bundle with a null, and a function that samples labels 0 and 1 with changed settings."""
    bundle = Bundle.load(tiny_guided)
    pipeline = Pipeline.open(bundle)
    pipeline._engines["denoiser"] = Counting(pipeline._engines["denoiser"])

    def draw(**changes):
        plan = pipeline.plan(replace(bundle.manifest.sampling, **changes))
        return pipeline.sample(sources(bundle, range(2)), plan, 1, range(2)).latent

    return pipeline, draw


def test_weight_one_is_no_guidance_bit_for_bit_and_in_single_batches(guided, bundle):
    pipeline, draw = guided
    plain = Pipeline.open(bundle)
    expected = plain.sample(sources(bundle, range(2)), plain.plan(bundle.manifest.sampling), 1, range(2)).latent
    np.testing.assert_array_equal(draw(guidance=1.0), expected)
    assert pipeline._engines["denoiser"].sizes == [2, 2, 2, 2]


def test_weight_nought_is_unconditional(guided):
    pipeline, draw = guided
    pipeline_encode, unconditional = pipeline.encode, draw(guidance=0.0)
    pipeline.encode = lambda given: {name: np.zeros_like(array) for name, array in pipeline_encode(given).items()}
    np.testing.assert_allclose(unconditional, draw(guidance=1.0), atol=1e-6)


def test_guidance_goes_past_the_condition_in_one_call_a_step(guided):
    pipeline, draw = guided
    one, two, three = (draw(guidance=weight, steps=1) for weight in (1.0, 2.0, 3.0))
    assert pipeline._engines["denoiser"].sizes == [2, 4, 4]
    mask_latent = 0.20 - 0.4  # of label 0, which the tiny denoiser adds to its prediction, and the null is 0
    np.testing.assert_allclose((two - one)[0], mask_latent, atol=1e-6)
    np.testing.assert_allclose((three - one)[0], 2 * mask_latent, atol=1e-6)


def test_outside_the_interval_the_call_is_single(guided):
    pipeline, draw = guided
    draw(guidance=2.0, guidance_interval=(0.3, 0.8))  # the four steps are 99, 74, 49 and 24 of 0..99
    assert pipeline._engines["denoiser"].sizes == [2, 4, 4, 2]


def test_a_null_is_given_channel_by_channel(guided):
    pipeline, _ = guided
    condition = replace(pipeline.manifest.conditions[0], null=(1.0, 2.0))
    pipeline.manifest = replace(pipeline.manifest, conditions=(condition,))
    null = pipeline._null({"mask_latent": np.zeros((1, 2, 1, 3), np.float32)})["mask_latent"]
    assert null.dtype == np.float32 and null[:, :, 0].tolist() == [[[1] * 3, [2] * 3]]


def test_a_segmenter_generates_nothing(tiny_segmenter):
    with pytest.raises(BundleError, match="needs a generator"):
        Pipeline.open(Bundle.load(tiny_segmenter))
