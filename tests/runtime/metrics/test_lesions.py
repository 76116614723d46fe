"""Lesion-wise scores, by hand: boxes in a volume of 1 mm voxels."""

import csv
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.errors import InputError
from cldm_runtime.metrics.lesions import has_nested_regions, lesion_names, score_lesions, score_region
from lesion_volumes import PAIRS, REGIONS, volume_pair

MM = (1.0, 1.0, 1.0)
GOLDEN = Path(__file__).with_name("brats2023.csv")
NESTED = Declaration("brain", 3, {"core": 1, "edema": 2, "et": 3},
                     {"et": ("et",), "tc": ("core", "et"), "wt": ("core", "edema", "et")}).domain().labels


def boxes(*corners, size=4):
    """Cubes of 64 voxels (above 50 mm3) at these corners of a volume of 40."""
    mask = np.zeros((40, 40, 40), bool)
    for z, y, x in corners:
        mask[z:z + size, y:y + size, x:x + size] = True
    return mask


A, B, FAR = (5, 5, 5), (5, 5, 20), (30, 30, 30)


def found(prediction, reference, spacing=MM):
    score = score_region(prediction, reference, spacing)
    return score.dice, score.hd95_mm, (score.found, score.missed, score.false)


def test_nothing_on_both_sides_is_perfect():
    assert found(boxes(), boxes()) == (1.0, 0.0, (0, 0, 0))


def test_a_false_lesion_where_there_is_none():
    assert found(boxes(A), boxes()) == (0.0, 374.0, (0, 0, 1))
    assert score_region(boxes(A), boxes(), MM).whole_hd95_mm == 374.0


def test_a_missed_lesion():
    assert found(boxes(), boxes(A)) == (0.0, 374.0, (0, 1, 0))


def test_two_lesions_of_which_one_is_found_and_a_false_one():
    assert found(boxes(A, FAR), boxes(A, B)) == (pytest.approx(1 / 3), pytest.approx(2 * 374 / 3), (1, 1, 1))


def test_small_lesions_do_not_count_but_explain_what_was_predicted():
    small = boxes(A, size=3)  # 27 mm3
    assert found(small, small) == (1.0, 0.0, (0, 0, 0))  # neither a lesion nor a false one
    assert found(boxes(), small) == (1.0, 0.0, (0, 0, 0))
    assert found(small, small, (2.0, 1.0, 1.0))[2] == (1, 0, 0)  # 54 mm3


def test_50_mm3_are_small_and_51_are_not():
    mask = np.zeros((20, 20, 20), bool)
    mask[5, 5:10, 5:15] = True  # 50 voxels
    assert found(mask, mask)[2] == (0, 0, 0)
    mask[6, 5, 5] = True
    assert found(mask, mask)[2] == (1, 0, 0)


def test_a_false_lesion_of_one_voxel_counts():
    speck = boxes(A)
    speck[35, 35, 35] = True
    assert found(speck, boxes(A)) == (0.5, 187.0, (1, 0, 1))


def test_pieces_whose_dilations_touch_are_one_lesion():
    """Each grows by 3 voxels: with 6 between them they become neighbours, with 7 one voxel parts them."""
    for gap, lesions in ((6, 1), (7, 2)):
        reference = boxes(A, (5, 5, 9 + gap))
        assert sum(found(boxes(), reference)[2][:2]) == lesions


def test_touching_corners_are_one_piece():
    reference = boxes(A, (9, 9, 9))
    assert found(reference, reference)[2] == (1, 0, 0)
    assert found(boxes(A), reference)[0] == pytest.approx(2 * 64 / (64 + 128))


def test_one_prediction_over_two_lesions_belongs_to_both_whole():
    reference = boxes(A, B)
    bridge = reference.copy()
    bridge[6, 6, 5:24] = True  # joins them by 11 voxels
    dice, _, counts = found(bridge, reference)
    assert counts == (2, 0, 0) and dice == pytest.approx(2 * 64 / (64 + 139))


def test_a_prediction_near_a_lesion_is_its_own_and_farther_it_is_false():
    assert found(boxes((5, 5, 11)), boxes(A))[2] == (1, 0, 0)  # 2 voxels between: within the dilation
    assert found(boxes((5, 5, 12)), boxes(A))[2] == (0, 1, 1)  # 3 voxels between: outside


def test_pieces_of_a_prediction_are_joined():
    """Two halves of a lesion, which do not touch each other."""
    halves = boxes(A, size=6)
    halves[:, :, 7] = False
    assert found(halves, boxes(A, size=6))[0] == pytest.approx(2 * 180 / (180 + 216))


def test_label_maps_are_scored_region_by_region():
    reference = np.zeros((2, 20, 20, 20), np.uint8)
    reference[0, 3:15, 3:15, 3:15] = 2
    reference[0, 5:13, 5:13, 5:13] = 3
    reference[0, 7:11, 7:11, 7:11] = 1
    scores = score_lesions(reference, reference, NESTED, MM)
    assert scores.names == lesion_names(NESTED) and scores.values.shape == (2, 18)
    np.testing.assert_array_equal(scores["wt_dice_by_lesion"], [1, 1])
    np.testing.assert_array_equal(scores["et_lesions_found"], [1, 0])
    shifted = score_lesions(np.roll(reference, 1, axis=3), reference, NESTED, MM)
    assert 0.7 < shifted["et_dice_by_lesion"][0] < shifted["wt_dice_by_lesion"][0] < 1
    with pytest.raises(InputError, match="expected two of one shape"):
        score_lesions(reference, reference[:1], NESTED, MM)


def test_nested_regions_are_told_from_others():
    plain = Declaration("a", 3, {"x": 1, "y": 2}).domain().labels
    assert has_nested_regions(NESTED) and not has_nested_regions(plain)
    assert not has_nested_regions(Declaration("a", 3, {"x": 1}).domain().labels)


def test_twenty_volumes_agree_with_the_challenges_own_program():
    """brats2023.csv: what metrics.py of github.com/rachitsaluja/BraTS-2023-Metrics (the program that the challenge
    names, commit 43c9052) gives for the pairs of `lesion_volumes`, with 1 mm voxels and the rules of BraTS-GLI."""
    lines = csv.DictReader(GOLDEN.read_text().splitlines())
    expected = {(int(line["pair"]), line["region"]): [float(value) for value in list(line.values())[2:]]
                for line in lines}
    assert len(expected) == 3 * PAIRS
    for pair in range(PAIRS):
        prediction, reference = volume_pair(pair)
        for region, values in REGIONS.items():
            masks = np.isin(prediction, values), np.isin(reference, values)
            ours = score_region(*masks, MM)
            whole = 2 * (masks[0] & masks[1]).sum() / max(masks[0].sum() + masks[1].sum(), 1)
            got = [ours.dice, ours.hd95_mm, ours.found, ours.missed, ours.false,
                   whole if masks[0].any() or masks[1].any() else 1.0, ours.whole_hd95_mm]
            np.testing.assert_allclose(got, expected[pair, region], atol=1e-3, err_msg=f"{pair} {region}")
