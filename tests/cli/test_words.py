"""`cldm words`, and prompts beyond the grammar in `cldm gen`."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest

from cldm_runtime.cli.main import cldm
from cldm_runtime.store import open_dataset
from words_fixtures import write_words

Cli = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def cli(called: Callable[[click.Command], Cli]) -> Cli:
    return called(cldm)


@pytest.fixture(autouse=True)
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_generator: Path) -> Path:
    """A folder of words; the working folder holds nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_generator))
    return write_words(tmp_path / "words")


def test_what_texts_ask_for_is_printed(cli: Cli, words: Path) -> None:
    code, out, _ = cli("words", "--words", words, "--edit", "whopping scar, lumenward", "septal scar")
    assert code == 0 and "taken for 'large', 'subendocardial'" in out and "angle_deg" in out
    (line,) = cli("words", "--json", "--words", words, "lumenward")[1].splitlines()
    assert json.loads(line)["numbers"] == {"transmurality": 0.35}


def test_nothing_understood_is_an_error(cli: Cli, words: Path) -> None:
    code, _, err = cli("words", "--words", words, "banana")
    assert code == 2 and "nothing of 'banana' was understood" in err
    assert cli("words", "--words", "none", "lumenward")[0] == 2
    assert "no such folder" in cli("words", "--words", "absent", "small")[2]


def test_images_are_made_of_what_was_taken(cli: Cli, words: Path, tmp_path: Path) -> None:
    asked = ("gen", "--n", 2, "--prompt", "a small blob, lumenward", "--words", words, "--workers", 1)
    code, _, err = cli(*asked)
    notes = [line for line in err.splitlines() if line.startswith("note: prompt, ")]
    assert code == 0 and notes[0].startswith("note: prompt, 'blob', 'lumenward': taken for 'subendocardial', as in ")
    with open_dataset(tmp_path / "samples.h5") as dataset:
        assert dataset.requested is not None and np.allclose(dataset.requested[:, :2], [0.065, 0.35])
    plans = [json.loads(cli("gen", "--n", 2, "--prompt", "a small blob, lumenward", "--words", each, "--out",
                             "other.h5", "--dry-run", "--json")[1])
             for each in (words, "none")]
    digests = [plan["requests"]["grid_sha256"] for plan in plans]
    assert digests[0] != digests[1]  # a run with other words is another run


def test_a_grid_of_prompts_is_read_by_likeness_too(cli: Cli, words: Path) -> None:
    Path("grid.csv").write_text("prompt\nwhopping\n")
    assert "taken for 'large'" in cli("gen", "--n", 1, "--attributes", "grid.csv", "--words", words, "--dry-run")[2]
    assert cli("gen", "--n", 1, "--attributes", "grid.csv", "--words", "none", "--dry-run")[0] == 2


def test_the_committed_words_read_known_wording(cli: Cli) -> None:
    code, out, _ = cli("words", "--words", ROOT / "exported" / "lge-words", "--json", "a pinhead-sized scar hugging "
                       "the inner border, towards the tip of the heart")
    found = json.loads(out)
    assert code == 0 and found["numbers"]["infarct_size"] == 0.015 and found["numbers"]["slice_position"] < 1 / 3
    assert "'subendocardial'" in found["taken"][0]
    assert cli("words", "--words", ROOT / "exported" / "lge-words", "a recipe for soup")[0] == 2
