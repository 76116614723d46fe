"""One batch through the graphs: what is drawn for a sample depends on nothing but the sample."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.bundle import Bundle
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.pipeline import Pipeline, decoder_noise, initial_noise


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


def test_a_segmenter_generates_nothing(tiny_segmenter):
    with pytest.raises(BundleError, match="needs a generator"):
        Pipeline.open(Bundle.load(tiny_segmenter))
