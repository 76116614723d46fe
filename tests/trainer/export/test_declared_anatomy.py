"""Label maps of a declared domain, drawn for areas and counts: by a prior of maps whose latent vectors are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.errors import InputError
from cldm_runtime.generation.latent_prior import LatentPrior
from cldm_runtime.generation.learned_anatomy import LearnedAnatomy
from cldm_runtime.noise import Purpose, Stream
from cldm_trainer.export.anatomy.prior import drawn_columns, fit_prior
from cldm_trainer.export.anatomy.quality import MeasuredSlices, measure_anatomy

DOMAIN = Declaration("knee", 2, {"bone": 1, "cyst": 2}, lesion="cyst", within={"cyst": "bone"}, ranges={
    "bone_area": (0.0, 2000.0), "cyst_area": (0.0, 200.0), "bone_components": (0.0, 20.0),
    "cyst_components": (0.0, 20.0)}).domain()
SPACING = (1.0, 1.0)
DRAWN = ["bone_area", "bone_components", "cyst_area", "cyst_components"]


def label_map(z: np.ndarray) -> np.ndarray:
    """A bone of 400 pixels + 100 z0, in one piece or, for z1 > 0, two; where z2 > 0 a cyst of 9 pixels in it."""
    flat, labels = max(int(400 + 100 * z[0]), 0), np.zeros((48, 48), np.uint8)
    rows, rest = divmod(flat, 40)
    labels[2:2 + rows, 2:42] = 1
    labels[2 + rows, 2:2 + rest] = 1
    if z[1] > 0:
        labels[-3:, -3:] = 1
    if z[2] > 0:
        labels[3:6, 4:7] = 2
    return labels


class Decoder:
    """Instead of the network."""

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        maps = np.stack([label_map(z) for z in inputs["z"]])
        return {"logits": np.stack([(maps == label).astype(np.float32) for label in range(3)], axis=1)}


@pytest.fixture(scope="module")
def anatomy() -> LearnedAnatomy:
    z = np.random.default_rng(0).normal(size=(600, 3))
    values = DOMAIN.measure(np.stack([label_map(each) for each in z]), SPACING).values
    spec = fit_prior(z, np.full(z.shape, 0.05), values, DOMAIN)
    exactness = {attribute.name: 0.5 * attribute.tolerance for attribute in DOMAIN.attributes}
    bundle = SimpleNamespace(manifest=SimpleNamespace(name="knee-anatomy", nature="phantom"), manifest_sha256="0" * 64)
    return LearnedAnatomy(Decoder(), LatentPrior(spec, tuple(DRAWN), exactness), DOMAIN, DOMAIN.anatomy, (48, 48),
                          SPACING, bundle)


def test_of_every_region_the_size_and_the_number_of_pieces_can_be_asked_for() -> None:
    assert [DOMAIN.attribute_names[column] for column in drawn_columns(DOMAIN)] == DRAWN


@pytest.mark.parametrize("request_", [{"bone_area": 300.0, "bone_components": 2.0}, {"bone_area": 500.0},
                                      {"bone_components": 1.0, "cyst_area": 9.0}, {"cyst_area": 0.0}])
def test_a_request_is_met_within_its_tolerance_and_counts_exactly(anatomy: LearnedAnatomy, request_: dict) -> None:
    assert not anatomy.faults(request_)
    drawn = anatomy.attempt(anatomy.complete(request_, Stream(0, 0, Purpose.CONDITION)), Stream(0, 0, Purpose.ANATOMY))
    measured = dict(zip(DOMAIN.attribute_names, DOMAIN.measure(drawn.labels[None], SPACING).values[0], strict=True))
    for name, value in request_.items():
        tolerance = DOMAIN.tolerances[DOMAIN.attribute_names.index(name)]
        assert measured[name] == pytest.approx(value, abs=0.0 if name.endswith("components") else tolerance)


def test_what_the_cohort_does_not_show_is_said_with_the_nearest(anatomy: LearnedAnatomy) -> None:
    (fault,) = anatomy.faults({"bone_components": 9.0})
    assert "no map of anatomy knee-anatomy meets bone_components = 9" in fault


def test_other_attributes_are_refused_by_name(anatomy: LearnedAnatomy) -> None:
    (fault,) = anatomy.faults({"bone_centroid_y": 0.5, "bone_area": 400.0})
    assert "bone_centroid_y cannot be requested of anatomy knee-anatomy. It takes: bone_area, bone_components" in fault
    assert anatomy.nearest({"bone_centroid_y": 0.5}) is None


def test_the_acceptance_is_stated(anatomy: LearnedAnatomy) -> None:
    maps = np.stack([label_map(z) for z in np.random.default_rng(1).normal(size=(12, 3))])
    values = DOMAIN.measure(maps, SPACING).values
    found = measure_anatomy(anatomy, MeasuredSlices(maps, values, maps, values))
    assert found["requests (size and number of pieces of one region in turn, of validation slices)"] == 12
    assert found["requests met"] == 12 and 0.2 < found["acceptance, share of draws"] <= 1.0
    assert found["mean absolute error of bone_components"] == 0.0
    assert not any("centroid" in name for name in found)


def test_a_domain_without_label_maps_says_what_draws_them() -> None:
    with pytest.raises(InputError, match="--anatomy learned, with a bundle that draws them"):
        DOMAIN.require_anatomy()
