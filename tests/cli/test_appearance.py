"""cldm appearance."""

import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.domains.lge.appearance import FIGURES
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import DatasetSpec, create_dataset


@pytest.fixture
def file(tmp_path: Path) -> str:
    """One slice: blood .5, wall .3 +- .05, lung .3; half of the pixels are below .3."""
    radius = np.hypot(*(np.mgrid[:128, :128] - 63.5))
    masks = np.where(radius < 20, 1, np.where(radius < 30, 2, 0)).astype(np.uint8)[None]
    stripes = 0.05 * 1.5**0.5 * (np.indices((128, 128)).sum(axis=0) % 3 - 1)
    with create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=np.where(masks == 1, 0.5, 0.3 + stripes)[:, None], masks=masks)
    return str(tmp_path / "a.h5")


def test_every_figure_has_a_line_and_those_outside_are_marked(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["appearance", file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [figure.name for figure in FIGURES]
    assert lines[1].split() == ["wall_to_blood", "0.55", "0.4", "to", "0.65", "0.60", "0.60", "0.60", "1"]
    marked = sum(line.endswith("outside") for line in lines[1:-1])
    assert 5 < marked < len(FIGURES) and lines[-1].startswith(f"{marked} of {len(FIGURES)} medians are outside")


def test_the_same_as_json(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["appearance", file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    first = found["figures"][0]
    assert first["name"] == "wall_to_blood" and first["inside"] and first["images"] == 1
    assert first["percentiles_10_50_90"] == pytest.approx([0.6] * 3, abs=1e-3)


def test_a_missing_subset_is_one_line(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["appearance", file, "--subset", "d8"]) == 2
    assert "has no subset" in capsys.readouterr().err
