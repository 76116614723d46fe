"""Cropping, resampling and normalising, on numbers that one can follow."""

import numpy as np
from skimage import transform

from cldm_runtime.scans.resample import Window, labelled_box, normalise, resample_image, resample_labels


def test_normalise_puts_the_percentiles_at_0_and_1():
    plane = np.arange(101, dtype=np.float32).reshape(1, 101)
    result = normalise(plane, (10.0, 90.0))
    assert result[0, [0, 10, 50, 90, 100]].tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_resampling_at_the_same_spacing_is_a_crop():
    plane = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    window = Window((4, 4), (1.0, 1.0))
    result = resample_image(plane, np.array([3.5, 4.5]), (1.0, 1.0), window)
    np.testing.assert_array_equal(result[0], plane[0, 2:6, 3:7])


def test_halving_the_spacing_doubles_a_square_of_labels():
    labels = np.zeros((1, 8, 8), np.uint8)
    labels[0, 2:6, 2:6] = 3
    result = resample_labels(labels, np.array([3.5, 3.5]), (2.0, 2.0), Window((16, 16), (1.0, 1.0)))
    assert (result[0, 4:12, 4:12] == 3).all() and (result == 3).sum() == 64


def test_coarser_window_averages_stripes_instead_of_aliasing():
    plane = np.tile(np.array([0.0, 1.0], np.float32), (1, 64, 32))
    result = resample_image(plane, np.array([31.5, 31.5]), (1.0, 1.0), Window((16, 16), (4.0, 4.0)))
    assert np.abs(result[:, :, 1:-1] - 0.5).max() < 0.01  # the first and last column see the border


def test_fine_stripes_are_averaged_where_a_pixel_of_the_window_hits_one_exactly():
    plane = np.tile(np.array([0.0, 0.0, 0.0, 1.0], np.float32), (1, 64, 16))
    centre = np.array([31.5, 33.0])  # columns 3, 7, ... 63: 33 + 4 (i - 7.5)
    result = resample_image(plane, centre, (1.0, 1.0), Window((16, 16), (4.0, 4.0)))
    assert np.abs(result[:, :, 1:-1] - 0.25).max() < 0.05


def test_a_class_of_few_pixels_does_not_win_where_a_pixel_of_the_window_hits_it_exactly():
    plane = np.tile(np.array([1, 1, 1, 2], np.uint8), (1, 64, 16))
    result = resample_labels(plane, np.array([31.5, 33.0]), (1.0, 1.0), Window((16, 16), (4.0, 4.0)))
    assert (result[:, :, 1:-1] == 1).all()


def test_a_volume_is_resampled_along_all_its_axes():
    labels = np.zeros((1, 4, 4, 4), np.uint8)
    labels[0, 1:3, 1:3, 1:3] = 1
    result = resample_labels(labels, np.full(3, 1.5), (2.0, 2.0, 2.0), Window((8, 8, 8), (1.0, 1.0, 1.0)))
    inside = result[0, 2:6, 2:6, 2:6]
    assert result.sum() == inside.sum() == 64 - 8 and inside[0, 0, 1] == 1  # corners: a share of 0.75 ** 3 = 0.42
    ramp = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 4, 4), np.float32)
    halved = resample_image(ramp[None], np.full(3, 1.5), (2.0, 2.0, 2.0), Window((3, 1, 1), (1.0, 1.0, 1.0)))
    assert halved[0, :, 0, 0].tolist() == [1.0, 1.5, 2.0]


def test_the_box_holds_the_labels_of_all_samples_along_each_axis():
    labels = np.zeros((2, 5, 6, 7), np.uint8)
    labels[0, 1, 2, 3] = labels[1, 3, 2, 5] = 1
    assert labelled_box(labels).tolist() == [[1, 3], [2, 2], [3, 5]]


def test_labels_are_smoothed_as_much_as_scikit_image_does_before_it_shrinks():
    labels = (np.random.default_rng(0).random((1, 32, 32)) < 0.5).astype(np.uint8)
    shares = [transform.resize((labels[0] == value).astype(float), (8, 8), order=1, mode="edge", anti_aliasing=True)
              for value in (0, 1)]
    result = resample_labels(labels, np.array([15.5, 15.5]), (1.0, 1.0), Window((8, 8), (4.0, 4.0)))
    assert (result[0, 1:-1, 1:-1] == np.argmax(shares, axis=0)[1:-1, 1:-1]).all()
