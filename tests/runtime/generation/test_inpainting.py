"""Given images of a batch: which cells of the latent are drawn, and how images are composed."""

from pathlib import Path

import numpy as np
import pytest

from acquisition_fixtures import acquisition_spec
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import BundleError
from cldm_runtime.generation.imaging import acquired_values
from cldm_runtime.generation.inpainting import composed_images, covered, given_paintings, known_latents
from cldm_runtime.requests.painting import painting_of
from cldm_runtime.requests.sources import SampleRequest

BEFORE = np.zeros((40, 40), np.uint8)
AFTER = BEFORE.copy()
AFTER[20, 20] = 1


def asked(index: int, image: np.ndarray | None = None, edited: bool = True) -> SampleRequest:
    painting = painting_of(BEFORE, AFTER if edited else BEFORE, (1.0, 1.0), image)
    return SampleRequest(index, 0, np.zeros(4, np.float32), AFTER, painting=painting)


class DoublingEncoder:
    """Stands for `GivenImageEncoder`."""

    def latents(self, images: np.ndarray) -> np.ndarray:
        return 2 * images[:, :, ::4, ::4]


def test_a_cell_is_drawn_if_any_of_its_pixels_is() -> None:
    region = np.zeros((6, 8), bool)
    region[3, 4] = region[0, 0] = True
    assert covered(region, (3, 2)).tolist() == [[True, False], [False, True], [False, False]]
    np.testing.assert_array_equal(covered(region, (6, 8)), region)
    with pytest.raises(BundleError, match="no whole number"):
        covered(region, (4, 4))


def test_the_known_part_is_what_no_region_touches() -> None:
    images = np.random.default_rng(0).random((2, 1, 40, 40)).astype(np.float32)
    known = known_latents([asked(0, images[0]), asked(1, images[1], edited=False)], DoublingEncoder(), (1, 10, 10))
    np.testing.assert_array_equal(known.latent, 2 * images[:, :, ::4, ::4])
    assert known.known.shape == (2, 1, 10, 10) and (known.known[1] == 1).all()
    assert known.known[0, 0, 5, 5] == 0 and known.known[0, 0, 0, 0] == 1
    assert known_latents([asked(0)], DoublingEncoder(), (1, 10, 10)) is None


def test_images_are_composed_with_the_given_one_or_with_their_pair() -> None:
    images = np.random.default_rng(1).random((3, 1, 40, 40)).astype(np.float32)
    plain = SampleRequest(0, 0, np.zeros(4, np.float32), BEFORE)
    pair = composed_images([plain, asked(1)], images[:2], None, (0.0, 1.0))
    region = asked(1).painting.region
    np.testing.assert_array_equal(pair[0], images[0])
    np.testing.assert_array_equal(pair[1][:, ~region], images[0][:, ~region])
    assert pair[1, 0, 20, 20] == pytest.approx(images[1, 0, 20, 20])
    given = composed_images([asked(0, images[2])], images[:1], images[1:2], (0.0, 1.0))
    np.testing.assert_array_equal(given[0][:, ~region], images[2][:, ~region])
    assert given[0, 0, 20, 20] == pytest.approx(images[0, 0, 20, 20], abs=1e-6)
    rim = asked(0).painting.region & (asked(0).painting.detail == 1)
    weight, (new, plain, image) = asked(0).painting.weight, images[:, 0]
    np.testing.assert_allclose(given[0, 0][rim], np.clip(image + weight * (new - plain), 0, 1)[rim], atol=1e-6)


def test_a_network_that_paints_is_given_image_and_region_where_all_samples_have_them() -> None:
    images = np.random.default_rng(2).random((2, 1, 40, 40)).astype(np.float32)
    requests = [asked(0, images[0]), asked(1, images[1], edited=False)]
    given = given_paintings(requests)["paintings"]
    np.testing.assert_array_equal(given[:, :1], images)
    np.testing.assert_array_equal(given[0, 1], requests[0].painting.region)
    assert not given[1, 1].any() and given_paintings([requests[0], asked(1)]) == {}


def test_what_is_painted_gets_noise_and_resolution_of_the_given_image_and_no_rim(tmp_path: Path) -> None:
    onnx_fixtures = pytest.importorskip("onnx_fixtures")
    folder = onnx_fixtures.make_generator(tmp_path / "tiny", shape=(32, 32), latent=(8, 8),
                                          acquisition=acquisition_spec())
    manifest, rng = Bundle.load(folder).manifest, np.random.default_rng(3)
    noisy, calm = (np.clip(0.5 + level * rng.standard_normal((1, 40, 40)), 0, 1) for level in (0.08, 0.02))
    values = acquired_values(manifest, get_domain("lge"), None, [asked(0, noisy), asked(1, calm), asked(2)])
    assert values[:2, 0] == pytest.approx([0.08, 0.02], rel=0.2) and not values[:2, 3:].any()
    assert np.isnan(values[2]).all()  # no image is given
    assert acquired_values(manifest, get_domain("lge"), None, [asked(0)]) is None
