"""How the cost of drawing a volume grows with its side."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import brain_run
from cldm_runtime.errors import InputError
from cldm_trainer.bench.growth import SideCost, as_table, measure_sides, slope
from cldm_trainer.cli.commands import cli
from cldm_trainer.stages.config_file import load_config

ROOT = Path(__file__).parents[3]


def test_what_grows_with_the_voxels_has_the_slope_1() -> None:
    assert slope((8, 16, 32), [2.0 * side**3 for side in (8, 16, 32)]) == pytest.approx(1.0)
    assert slope((8, 16), [1.0, 64.0]) == pytest.approx(2.0)


def test_the_table_names_each_side_and_the_slopes() -> None:
    lines = as_table([SideCost(8, 0.1, 0.2, 0.3, 10.0), SideCost(16, 0.8, 1.6, 2.4, 80.0)])
    assert lines[2] == "| 8 | 0.1000 | 0.2000 | 0.3000 | 10 |" and lines[-1] == "| slope | 1.00 | 1.00 | 1.00 | 1.00 |"
    assert len(as_table([SideCost(8, 0.1, 0.2, 0.3, 10.0)])) == 3


def test_every_side_is_measured(tmp_path: Path) -> None:
    _, segments = brain_run.make_runs(tmp_path)
    small, large = measure_sides(segments, (8, 16))
    assert (small.side, large.side) == (8, 16)
    assert min(small.encode_seconds, small.step_seconds, small.decode_seconds) > 0


def test_a_side_that_cannot_be_halved_and_images_are_refused(tmp_path: Path) -> None:
    _, segments = brain_run.make_runs(tmp_path)
    with pytest.raises(InputError, match="found 9, expected multiples of"):
        measure_sides(segments, (8, 9))
    with pytest.raises(InputError, match=r"run.output = 'image' and 2 axes, expected labels and 3"):
        measure_sides(load_config(str(ROOT / "trainer/configs/phantom-tiny.toml")), (8,))


def test_the_command_says_what_it_measures() -> None:
    assert "--side" in CliRunner().invoke(cli, ["growth", "--help"]).output
