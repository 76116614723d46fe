"""Sweeps of one attribute: one heart, one noise."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from cldm_runtime import Generator
from cldm_runtime.domains.lge.scar_edit import healed
from cldm_runtime.domains.registry import measure
from cldm_trainer.results.cldm.sweeps import SWEEPS, Sweep, swept


def test_the_heart_and_the_noise_stay_along_a_sweep(tiny_generator: Path) -> None:
    batches = swept(Generator.load(tiny_generator), SWEEPS[0], [0.05, 0.2, 0.4], 3)
    maps, images = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("masks", "images"))
    np.testing.assert_allclose(measure(maps)["infarct_size"], [0.05, 0.2, 0.4], atol=0.02)
    for labels, image in zip(maps[1:], images[1:], strict=True):
        np.testing.assert_array_equal(healed(labels), healed(maps[0]))
        same = labels == maps[0]
        assert np.abs(image[0] - images[0, 0])[same].max() < 0.05 < np.abs(image[0] - images[0, 0])[~same].min()


def test_a_value_that_no_heart_meets_is_left_out(tiny_generator: Path) -> None:
    depths = Sweep("transmurality", 0.2, 0.7, {"infarct_size": 0.4, "slice_position": 0.5})
    shallow, deep = swept(Generator.load(tiny_generator), depths, [0.2, 0.7], 3)
    assert shallow is None  # it would be below the size
    assert deep is not None and abs(measure(deep.masks)["transmurality"][0] - 0.7) < 0.05


def test_one_map_is_turned_in_one_noise(tiny_generator: Path) -> None:
    """Turned by right angles no pixel changes its label."""
    (rotation,) = (sweep for sweep in SWEEPS if sweep.name == "rotation_deg")
    upright, quarter, half = swept(Generator.load(tiny_generator), rotation, [0.0, 90.0, 180.0], 3)
    np.testing.assert_array_equal(quarter.masks[0], np.rot90(upright.masks[0]))
    np.testing.assert_array_equal(half.masks[0], np.rot90(upright.masks[0], 2))
    same = upright.masks == half.masks
    assert np.abs(upright.images[:, 0] - half.images[:, 0])[same].max() < 0.05
