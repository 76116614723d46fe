"""Other images for the same label maps."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.attributes import HEALTHY, LV_CAVITY
from cldm_runtime.domains.lge.phantom1 import rerender as module
from cldm_runtime.domains.lge.phantom1.phantom import phantom_volume
from cldm_runtime.domains.lge.phantom1.rerender import PHANTOM, rerender
from cldm_runtime.noise import Purpose, Stream


def test_it_is_a_pure_function_and_every_repeat_differs() -> None:
    first, again, other = (rerender(0, 3, "test", repeat, [4, 5]) for repeat in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(rerender(0, 3, "test", 0, [5])[0], first[1])
    volume = phantom_volume(0, 3, "test")
    assert first.shape == (2, *volume.image.shape[1:]) and first.dtype == np.float32
    assert np.abs(first - other).mean() > 0.01 and np.abs(first - volume.image[4:6]).mean() > 0.01


def test_every_repeat_shows_the_labels_of_the_volume() -> None:
    labels = phantom_volume(0, 3, "test").labels[5]
    for repeat in range(4):
        (image,) = rerender(0, 3, "test", repeat, [5])
        assert image[labels == LV_CAVITY].mean() > image[labels == HEALTHY].mean() + 0.04


def test_contrast_and_surroundings_vary() -> None:
    volume = phantom_volume(0, 3, "test")
    images = np.stack([rerender(0, 3, "test", repeat, [5])[0] for repeat in range(8)])
    outside, wall = volume.labels[5] == 0, volume.labels[5] == HEALTHY
    assert images.std(axis=0)[outside].mean() > 0.03
    assert np.std([image[wall].mean() for image in images]) > 0.01


def test_a_redrawn_protocol_fits_the_pixel_size() -> None:
    for repeat in range(20):  # 126 rows are pixels of 1.386 mm or more, and 0.05 mm more were acquired
        _, protocol = module._redrawn(Stream(0, 200_003, Purpose.COHORT, step=repeat + 1), "test", 126)
        assert protocol.acquired_mm > 1.386 + 0.05


def test_every_slice_of_every_repeat_has_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    words = []
    monkeypatch.setattr(module, "image_slice", lambda *args: words.append(int(args[-1].raw(1)[0])) or np.zeros((2, 2)))
    for repeat in range(3):
        rerender(0, 3, "test", repeat, [4, 5])
    volume_s = {int(Stream(0, 200_003, Purpose.ACQUISITION, step=index).raw(1)[0]) for index in (4, 5)}
    assert len(set(words)) == 6 and not volume_s & set(words)


def test_the_domain_offers_it() -> None:
    assert PHANTOM.rerender is rerender
