"""Tensors that are kept are used again only if they are what was written, made from the same."""

from pathlib import Path

import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer.training import checkpoint
from cldm_trainer.training.derived_tensors import is_fresh, load_derived, save_derived

MADE = {"cohort": "a", "seed": "0"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_derived(tmp_path / "latents" / "a.safetensors", {"x": torch.ones(3).half(), "y": torch.zeros(2, 0)}, MADE)
    return tmp_path / "latents" / "a.safetensors"


def test_what_was_written_is_fresh(path: Path) -> None:
    assert is_fresh(path, MADE) and load_derived(path, MADE, "`x`")["x"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("made", [{"cohort": "b", "seed": "0"}, {"cohort": "a"}, {**MADE, "more": "1"}])
def test_what_was_made_from_something_else_is_not(path: Path, made: dict[str, str]) -> None:
    assert not is_fresh(path, made)
    with pytest.raises(InputError, match=r"out of date.*Make it first: `cldm-train latents`"):
        load_derived(path, made, "`cldm-train latents`")


def test_a_changed_value_is_noticed(path: Path) -> None:
    checkpoint.save_tensors(path, {"x": torch.tensor([1.0, 1.0, 2.0]).half(), "y": torch.zeros(2, 0)},
                            checkpoint.metadata(path))
    assert not is_fresh(path, MADE)


def test_a_file_of_an_earlier_version_is_made_again(path: Path) -> None:
    checkpoint.save_tensors(path, checkpoint.load_tensors(path), MADE)
    assert not is_fresh(path, MADE)


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found\. Make it first: `x`"):
        load_derived(tmp_path / "a.safetensors", MADE, "`x`")
