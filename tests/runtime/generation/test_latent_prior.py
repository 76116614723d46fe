"""Conditional Gaussians worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.checks import consistency_faults
from cldm_runtime.bundle.latent_prior_spec import LatentComponent, LatentPriorSpec, triangle_of
from cldm_runtime.generation.latent_prior import LatentPrior

# z and a: variances 2 and 1, covariance 1. In the second component a is undefined.
FIRST = LatentComponent(True, 0.75, (1.0, 2.0), (2.0, 1.0, 1.0))
SECOND = LatentComponent(False, 0.25, (0.0, None), (1.0, 0.0, 0.0))
SPEC = LatentPriorSpec(1, (FIRST, SECOND))


def prior(exactness: float = 0.0) -> LatentPrior:
    return LatentPrior(SPEC, ("a",), {"a": exactness})


def test_the_latent_vector_given_an_attribute() -> None:
    found = prior().latent(0, {"a": 3.0})  # mean 1 + 1 / 1 (3 - 2), variance 2 - 1
    assert (found.mean[0], found.gain[0, 0]) == (2.0, 1.0) and found.root[0, 0] == pytest.approx(1.0)


def test_an_attribute_meant_inexactly_moves_the_mean_less() -> None:
    found = prior(exactness=1.0).latent(0, {"a": 3.0})  # gain 1 / (1 + 1)
    assert (found.mean[0], found.gain[0, 0]) == (1.5, 0.5) and found.root[0, 0] == pytest.approx(np.sqrt(1.5))


def test_what_is_not_asked_is_marginalised() -> None:
    found = prior().latent(0, {"a": float("nan")})
    assert found.mean[0] == 1.0 and found.root[0, 0] == pytest.approx(np.sqrt(2.0)) and found.gain.shape == (1, 0)
    assert prior().attribute(0, "a", {}) == pytest.approx((2.0, 1.0))


def test_weights_follow_shares_densities_and_the_lesion() -> None:
    assert prior().weights({}).tolist() == pytest.approx([1.0, 1 / 3])
    assert prior().weights({"a": 2.0}).tolist() == [1.0, 0.0]  # the second component has no such value
    assert prior().weights({}, lesion=False).tolist() == [0.0, 1.0]
    assert prior().weights({"a": 2.0}, lesion=False).tolist() == [0.0, 0.0]


def test_a_lower_triangle_is_read_row_by_row() -> None:
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    assert triangle_of(matrix) == (2.0, 1.0, 3.0)
    np.testing.assert_array_equal(prior().covariances[0], [[2.0, 1.0], [1.0, 1.0]])


@pytest.mark.parametrize(("component", "fault"), [
    (replace(FIRST, share=0.5), "the shares do not add up to 1"),
    (replace(FIRST, mean=(1.0,)), "1 numbers in mean and 3 in covariance, expected 2 and 3"),
    (replace(FIRST, mean=(None, 2.0)), "a mean without null in the 1 dimensions"),
    (replace(FIRST, covariance=(0.0, 0.0, 1.0)), "not positive definite"),
])
def test_every_fault_is_named(component: LatentComponent, fault: str) -> None:
    found = list(LatentPriorSpec(1, (component, SECOND)).faults(attributes=1))
    assert len(found) == 1 and fault in found[0]
    assert list(SPEC.faults(1)) == []


def test_a_manifest_whose_decoder_and_prior_disagree(tiny_anatomy) -> None:
    manifest = Bundle.load(tiny_anatomy).manifest
    assert consistency_faults(manifest) == []
    decoder = manifest.graphs["decoder"]
    wider = replace(decoder, inputs=(replace(decoder.inputs[0], shape=("N", 4)),))
    assert consistency_faults(replace(manifest, graphs={"decoder": wider})) == [
        "graphs.decoder: z is float32 ['N', 4], expected float32 ['N', 3]."]
    assert consistency_faults(replace(manifest, latent_prior=None)) == ["latent_prior: missing; an anatomy needs it."]
