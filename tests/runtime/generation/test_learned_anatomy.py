"""Label maps drawn with the decoder of an anatomy bundle: they meet requests, vary, and refuse what cannot be."""

from pathlib import Path

import numpy as np
import pytest

from anatomy_fixtures import make_anatomy
from cldm_runtime import Generator
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.registry import measure
from cldm_runtime.domains.rotation import rotate_labels
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.generation.learned_anatomy import LearnedAnatomy, learned_domain
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.requests.grid import GridRow
from cldm_runtime.requests.sources import Canvas, draw_request
from cldm_runtime.verification.replay import verify_bundle

SIZE, DEPTH, SURFACE, POSITION = ("infarct_size", "transmurality", "endocardial_surface_length", "slice_position")
GRID = {"shape": (128, 128), "spacing_mm": (1.0, 1.0)}
ASKED = {SIZE: 0.2, DEPTH: 0.5, SURFACE: 0.4, POSITION: 0.5}  # an arc of 0.4, half of the wall deep


@pytest.fixture
def anatomy(tiny_anatomy: Path) -> LearnedAnatomy:
    return LearnedAnatomy.load(Bundle.load(tiny_anatomy))


def draw(anatomy: LearnedAnatomy, asked: dict[str, float], index: int = 0, **options: float) -> np.ndarray:
    return anatomy.draw(asked, Stream(1, index, Purpose.ANATOMY), **(GRID | options)).labels


def test_what_is_measured_is_what_was_asked_for(anatomy: LearnedAnatomy) -> None:
    arcs, depths = (0.2, 0.3, 0.5), (0.4, 0.6, 0.8)
    rows = [{SIZE: arc * depth, DEPTH: depth, SURFACE: arc} for arc in arcs for depth in depths]
    found = measure(np.stack([draw(anatomy, row, i) for i, row in enumerate(rows)])).values[:, :3]
    error = np.abs(found - [[row[SIZE], row[DEPTH], row[SURFACE]] for row in rows]).max(axis=0)
    assert (error <= [0.02, 0.04, 0.04]).all()


def test_a_map_is_a_function_of_its_stream(anatomy: LearnedAnatomy) -> None:
    np.testing.assert_array_equal(draw(anatomy, ASKED, 3), draw(anatomy, ASKED, 3))
    assert (draw(anatomy, ASKED, 3) != draw(anatomy, ASKED, 4)).any()


def test_without_infarct(anatomy: LearnedAnatomy) -> None:
    complete = anatomy.complete({SIZE: 0.0}, Stream(0, 0, Purpose.CONDITION))
    assert complete[SURFACE] == 0 and np.isnan(complete[DEPTH]) and 0 <= complete[POSITION] <= 1
    assert set(np.unique(draw(anatomy, complete))) == {0, 1, 2}


def test_a_quarter_turn_turns_the_map(anatomy: LearnedAnatomy) -> None:
    np.testing.assert_array_equal(draw(anatomy, ASKED, rotation_deg=90.0),
                                  rotate_labels(draw(anatomy, ASKED), 90.0, (1.0, 1.0)))


def test_what_is_left_out_is_told_by_the_map(tiny_generator: Path, tiny_anatomy: Path) -> None:
    domain = learned_domain(Bundle.load(tiny_generator), Bundle.load(tiny_anatomy))
    sample = draw_request(GridRow(2, {DEPTH: 0.6}), 0, Canvas(domain, **GRID), seed=0, index=0)
    assert sample.requested[1] == np.float32(0.6) and np.isfinite(sample.requested).all() and sample.draws >= 1
    assert sample.requested[2] == measure(sample.mask)[SURFACE][0]


def test_a_fifth_of_the_maps_has_no_infarct_where_nothing_is_asked(anatomy: LearnedAnatomy) -> None:
    sizes = [anatomy.complete({POSITION: 0.5}, Stream(0, i, Purpose.CONDITION))[SIZE] for i in range(300)]
    assert np.mean(np.array(sizes) == 0) == pytest.approx(0.2, abs=0.06)  # the share of that component


def test_what_no_map_reaches_is_refused_with_the_nearest(anatomy: LearnedAnatomy) -> None:
    faults = anatomy.faults({SIZE: 0.2, DEPTH: 0.9, SURFACE: 0.9})  # an arc of 0.9 would make the size 0.8
    assert len(faults) == 1 and "no map of anatomy tiny-anatomy meets infarct_size = 0.2" in faults[0]
    assert "the nearest of 25 draws has infarct_size" in faults[0] and anatomy.faults(ASKED) == []
    with pytest.raises(InputError, match="no map of anatomy"):
        anatomy.attempt({SIZE: 0.2, DEPTH: 0.9, SURFACE: 0.9}, Stream(0, 0, Purpose.ANATOMY), limit=3)


def test_contradictions_are_those_of_the_domain(anatomy: LearnedAnatomy) -> None:
    assert "is below infarct_size" in anatomy.faults({SIZE: 0.3, DEPTH: 0.1})[0]


def test_images_show_maps_of_the_learned_anatomy(tiny_generator: Path, tiny_anatomy: Path) -> None:
    model = Generator.load(tiny_generator, anatomy=tiny_anatomy)
    images, masks = model.sample(attributes=ASKED, n=2)
    assert masks is not None and images[:, 0][masks == 3].mean() == pytest.approx(0.95, abs=0.03)
    assert (masks[:, 64, 64] == 1).all() and (masks > 0)[0].sum() == pytest.approx(np.pi * 44**2, rel=0.01)
    assert model.domain.anatomy.identity()["anatomy"] == "learned"


def test_bundles_that_do_not_fit_are_refused(tiny_generator: Path, tiny_attributes: Path, tiny_anatomy: Path,
                                             tmp_path: Path) -> None:
    small = make_anatomy(tmp_path / "small", shape=(112, 112))
    with pytest.raises(BundleError, match=r"does not fit generator(.|\n)*shape: 112, 112, the generator has 128, 128"):
        Generator.load(tiny_generator, anatomy=small)
    with pytest.raises(BundleError, match="is a generator, expected an anatomy"):
        Generator.load(tiny_generator, anatomy=tiny_generator)
    with pytest.raises(InputError, match="without label maps"):
        Generator.load(tiny_attributes, anatomy=tiny_anatomy)


def test_an_anatomy_verifies(tiny_anatomy: Path) -> None:
    checks = verify_bundle(Bundle.load(tiny_anatomy))
    assert [check.name for check in checks] == ["decoder/logits"] and checks[0].passed
