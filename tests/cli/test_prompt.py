"""`cldm gen --prompt`: what was understood comes first; nothing understood is an error."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.store import open_dataset

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_generator: Path) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_generator))
    return tmp_path


def test_a_prompt_is_understood_before_anything_is_made(cli: Cli, folder: Path) -> None:
    text = "Moderate subendocardial purple scar in the inferior wall, basal level"
    plan = json.loads(cli("--n", 3, "--prompt", text, "--dry-run", "--json")[1])
    assert plan["requests"]["prompt"] == text
    code, _, err = cli("--n", 3, "--prompt", text, "--workers", 1)
    lines = err.splitlines()
    assert code == 0 and lines[0] == ("note: prompt, understood: 'moderate': infarct_size 0.15 "
                                      "(the middle of 0.1 to 0.2)")
    assert "note: prompt, understood, but not requested: 'inferior': a drawn scar takes any direction" in err
    told = next(number for number, line in enumerate(lines) if line == "note: prompt, not understood: 'purple'")
    assert told < next(number for number, line in enumerate(lines) if line.startswith("generating: "))
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.metadata["prompt"] == text
        requested, measured = dataset.requested, dataset.mask_attributes
        assert requested is not None and np.allclose(requested[:, [0, 1, 3]], [0.15, 0.35, 5 / 6], atol=1e-6)
        assert measured is not None and np.allclose(measured[:, :2], requested[:, :2], atol=0.045)


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--prompt", "ein Infarkt"], 2, "nothing of 'ein Infarkt' was understood. Write for example: small"),
    (["--prompt", "small large scar"], 2, "contradict each other"),
    (["--prompt", "scar in the septum"], 2, "nothing of 'scar in the septum' can be requested here"),
    (["--prompt", "large scar", "--attributes", "a.csv"], 2, "--prompt and a.csv both say what to draw"),
    (["--prompt", "large scar", "--masks", "a.npy"], 2, "--prompt and a.npy both say what to draw"),
])
def test_mistakes_are_told_and_nothing_is_written(cli: Cli, folder: Path, arguments: list, code: int,
                                                  message: str) -> None:
    found, out, err = cli("--n", 2, *arguments)
    assert found == code and not out and message in err and not list(folder.iterdir())


def test_bundles_say_what_they_do_not_take(cli: Cli, tiny_free: Path) -> None:
    assert "has no conditions" in cli("--n", 2, "--prompt", "large scar", "--bundle", tiny_free)[2]
