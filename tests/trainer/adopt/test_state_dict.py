"""Weights are read as tensors or refused; what does not fit is named."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cldm_runtime.errors import InputError
from cldm_trainer.adopt.state_dict import load_into, read_state


class Anything:
    """What a training program may have pickled beside its weights."""


def test_a_state_dict_is_found_where_programs_put_it(tmp_path: Path) -> None:
    weights = nn.Linear(2, 1).state_dict()
    save_file(weights, tmp_path / "a.safetensors")
    torch.save({"state_dict": {f"model.{name}": value for name, value in weights.items()}, "epoch": 3},
               tmp_path / "b.ckpt")
    for state in (read_state(tmp_path / "a.safetensors"), read_state(tmp_path / "b.ckpt", "model.")):
        assert state.keys() == {"weight", "bias"} and torch.equal(state["weight"], weights["weight"])


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": nn.Linear(1, 1).state_dict(), "config": Anything()}, tmp_path / "full.ckpt")
    with pytest.raises(InputError, match=r"(?s)full.ckpt: holds more than tensors.*torch.save\(module.state_dict\(\)"):
        read_state(tmp_path / "full.ckpt")


@pytest.mark.parametrize("name", ["cut.pt", "cut.safetensors"])
def test_a_damaged_file_is_one_message(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4 cut off")
    with pytest.raises(InputError, match=rf"{name}: (cannot be read as weights|holds more than tensors)"):
        read_state(tmp_path / name)
    with pytest.raises(InputError, match=r"none.pt: not found"):
        read_state(tmp_path / "none.pt")


def test_names_and_shapes_that_differ_are_named() -> None:
    module, other = nn.Linear(2, 1), {"weight": torch.zeros(1, 3), "scale": torch.zeros(1)}
    with pytest.raises(InputError, match=r"w: .*1 missing: bias; 1 too many: scale; 1 of another shape: weight "
                                         r"\[1, 3\], expected \[1, 2\]\. Correct the options"):
        load_into(module, other, "w")


def test_the_advised_prefix_is_the_one_that_fits(tmp_path: Path) -> None:
    weights = {f"net.unet.{name}": value for name, value in nn.Linear(2, 1).state_dict().items()}
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"Set prefix to 'net\.unet\.'"):
        load_into(nn.Linear(2, 1), read_state(tmp_path / "w.pt"), "w")
    load_into(nn.Linear(2, 1), read_state(tmp_path / "w.pt", "net.unet."), "w")
    with pytest.raises(InputError, match=r"no name begins with the prefix 'x\.'; found net.unet.weight"):
        read_state(tmp_path / "w.pt", "x.")


def test_weights_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(InputError, match=r"not finite: bias"):
        load_into(nn.Linear(1, 1), {"weight": torch.ones(1, 1), "bias": torch.tensor([float("nan")])}, "w")
