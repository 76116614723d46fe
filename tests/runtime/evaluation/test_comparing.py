"""Several segmentations of one file: which is better, where, and rows that must come out right."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.evaluation.comparing import EMPTY, REFERENCE, SegmentationComparison, compare_segmentations
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.report.comparison_page import verdict
from cldm_runtime.store import edit_dataset, open_dataset
from segmenter_fixtures import heart, write_hearts

SIZE = 48


def compared(path: Path, masks: np.ndarray, maps: dict[str, np.ndarray], **columns: object) -> SegmentationComparison:
    write_hearts(path, masks, **columns)
    with edit_dataset(path) as editor:
        for name, labels in maps.items():
            editor.segmentation(name).append(masks=labels)
    measure_dataset(path)
    with open_dataset(path) as dataset:
        return compare_segmentations(dataset, list(maps), replicates=400)


def by_name(found: SegmentationComparison, figure: str, of: str):
    return next(each.paired for each in found.pairs[0].figures if (each.figure, each.of) == (figure, of))


def test_a_difference_by_hand(tmp_path: Path) -> None:
    """Of four hearts with infarct and one without, the second segmenter misses two and finds a false one."""
    masks = np.stack([heart(angle, SIZE) for angle in (0, 90, 90, 180, 180)])
    worse = masks.copy()
    worse[0], worse[1:3] = heart(90, SIZE), heart(0, SIZE)
    found = compared(tmp_path / "a.h5", masks, {"good": masks, "worse": worse})
    dice, missed, false = (by_name(found, figure, "infarct") for figure in ("dice", "missed", "false"))
    assert (dice.n, dice.one, dice.other, dice.share_better) == (4, 1, 0.5, 0.75)
    assert (missed.n, missed.difference.value, false.n, false.difference.value) == (4, -0.5, 1, -1)
    assert by_name(found, "dice", "myocardium").difference.value == 0
    assert by_name(found, "error", "infarct_size").other == pytest.approx((0.25 * 3) / 5, abs=0.01)


def test_known_answers_are_known(tmp_path: Path) -> None:
    masks = np.stack([heart(angle, SIZE) for angle in (0, 90, 180)])
    rows = {row.name: row for row in compared(tmp_path / "a.h5", masks, {"a": masks, "b": masks}).rows}
    assert list(rows) == ["a", "b", REFERENCE, EMPTY]
    assert {region: value.value for region, value in rows[REFERENCE].dice.items()} == dict.fromkeys(
        ("lv_cavity", "myocardium", "infarct"), 1.0)
    assert rows[REFERENCE].error["infarct_size"].value == 0 and rows[REFERENCE].missed["infarct"].value == 0
    assert rows[EMPTY].dice["infarct"].value == 0 and rows[EMPTY].missed["infarct"].value == 1
    assert rows[EMPTY].false["infarct"].value == 0 and np.isnan(rows[EMPTY].error["transmurality"].value)


def test_patients_are_the_unit(tmp_path: Path) -> None:
    masks = np.stack([heart(90, SIZE)] * 4)
    found = compared(tmp_path / "a.h5", masks, {"a": masks, "b": masks}, patients=list("xxyy"))
    assert (found.unit, found.n_units) == ("patient", 2) and by_name(found, "dice", "infarct").n_clusters == 2


def test_without_masks_segmentations_are_compared_by_what_was_requested(tmp_path: Path) -> None:
    from cldm_runtime.store import DatasetSpec, create_dataset
    from segmenter_fixtures import DOMAIN

    masks = np.stack([heart(angle, SIZE) for angle in (0, 90, 180)])
    requested = DOMAIN.measure(masks).values
    with create_dataset(tmp_path / "a.h5", DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((3, 1, SIZE, SIZE), np.float32), requested=requested)
    with edit_dataset(tmp_path / "a.h5") as editor:
        editor.segmentation("a").append(masks=masks)
        editor.segmentation("b").append(masks=np.stack([heart(0, SIZE)] * 3))
    measure_dataset(tmp_path / "a.h5")
    with open_dataset(tmp_path / "a.h5") as dataset:
        found = compare_segmentations(dataset, ["a", "b"], replicates=50)
    assert [row.name for row in found.rows] == ["a", "b", EMPTY] and not found.rows[0].dice
    assert by_name(found, "missed", "infarct").difference.value == -1 and found.pairs[0].bins[0].figure == "found"
    assert all(each.lower_is_better for each in found.pairs[0].figures)  # there is no Dice without masks


def test_two_names_that_were_measured_are_needed(tmp_path: Path) -> None:
    masks = np.stack([heart(90, SIZE)] * 2)
    compared(tmp_path / "a.h5", masks, {"a": masks, "b": masks})
    with open_dataset(tmp_path / "a.h5") as dataset:
        for names in ([], ["a"], ["a", "a"]):
            with pytest.raises(InputError, match="two or more different ones"):
                compare_segmentations(dataset, names)
        with pytest.raises(DatasetError, match="has no segmentation 'c'"):
            compare_segmentations(dataset, ["a", "c"])


def noisy(angles: np.ndarray, rng: np.random.Generator, small: float = 0.0) -> np.ndarray:
    """Hearts whose infarcts are found with an error of 20 degrees; of those below 60 degrees, a share is missed."""
    found = np.maximum(angles + rng.normal(0, 20, len(angles)), 10)
    return np.stack([heart(0 if angle < 60 and rng.random() < small else each, SIZE)
                     for angle, each in zip(angles, found, strict=True)])


def of_seed(path: Path, seed: int, small: float) -> SegmentationComparison:
    rng = np.random.default_rng(seed)
    angles = rng.uniform(20, 240, 150)
    masks = np.stack([heart(angle, SIZE) for angle in angles])
    return compared(path, masks, {"steady": noisy(angles, rng), "other": noisy(angles, rng, small)})


def sizes_of(found: SegmentationComparison):
    return [each.paired.simultaneous for each in found.pairs[0].bins if each.attribute == "infarct_size"]


def is_found_on_small_scars(found: SegmentationComparison) -> bool:
    """The interval of the Dice leaves 0 out, and that of the first bin of size with all bins considered."""
    text = verdict(found.pairs[0], "infarct")
    return (by_name(found, "dice", "infarct").difference.low > 0 and sizes_of(found)[0].low > 0
            and text.startswith("steady is better than other, Dice of infarct")
            and " infarct size " in text.partition("Most in")[2])


def is_equal_on_large_scars(found: SegmentationComparison) -> bool:
    return all(interval.low < 0 < interval.high for interval in sizes_of(found)[2:])


def is_equal(found: SegmentationComparison) -> bool:
    difference = by_name(found, "dice", "infarct").difference
    return difference.low <= 0 <= difference.high


def is_nowhere(found: SegmentationComparison) -> bool:
    return all(not (each.paired.simultaneous.low > 0 or each.paired.simultaneous.high < 0)
               for each in found.pairs[0].bins)


def test_one_that_misses_small_scars_is_found_out_and_equal_ones_are_not(tmp_path: Path) -> None:
    found = of_seed(tmp_path / "worse.h5", 0, small=0.7)
    assert is_found_on_small_scars(found) and is_equal_on_large_scars(found)
    assert is_equal(equal := of_seed(tmp_path / "equal.h5", 0, small=0.0)) and is_nowhere(equal)


@pytest.mark.long
def test_the_same_in_twenty_seeds(tmp_path: Path) -> None:
    """Of twenty 95 % intervals of equal figures one is expected to leave 0 out by chance."""
    worse = [of_seed(tmp_path / f"worse{seed}.h5", seed, small=0.7) for seed in range(20)]
    equal = [of_seed(tmp_path / f"equal{seed}.h5", seed, small=0.0) for seed in range(20)]
    assert sum(map(is_found_on_small_scars, worse)) == 20
    by_chance = [sum(map(check, group)) for check, group in
                 ((is_equal_on_large_scars, worse), (is_equal, equal), (is_nowhere, equal))]
    print("equal on large scars, equal, nowhere different:", by_chance)
    assert min(by_chance) >= 18
