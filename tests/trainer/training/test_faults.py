"""Failures of training that a user can mend: one message with what to do."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cldm_runtime.errors import InputError, ProviderError, WorkerError
from cldm_trainer.training import checkpoint
from cldm_trainer.training.faults import explain, rate_setting
from cldm_trainer.training.loop import Step, train
from line_training import RUN, SHORT, Line


class Diverging(Line):
    """Its loss is NaN at step 4, or its critic's gradients are."""

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        loss, parts = super().loss(model, critic, step)
        return (loss * float("nan") if step.number == 4 else loss), parts


def test_a_loss_that_is_not_finite_names_stage_step_checkpoint_and_setting(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        train(Diverging, SHORT, RUN, tmp_path / "image-codec", {})
    text = str(caught.value)
    assert text.startswith("image-codec: training diverged: the loss is nan")
    assert "at step 4" in text and "state.pt, of step 3" in text
    assert "learning_rate in [image_codec.optimiser] (it is 0.1)" in text
    assert checkpoint.metadata(tmp_path / "image-codec" / checkpoint.MODEL)["step"] == "3"


def test_without_a_checkpoint_a_lower_learning_rate_and_the_same_command_are_enough(tmp_path: Path) -> None:
    early = replace(SHORT, checkpoint_every=100)
    with pytest.raises(InputError, match="No checkpoint was saved yet"):
        train(Diverging, early, RUN, tmp_path / "diffusion", {"rate": 1})
    train(Line, early, RUN, tmp_path / "diffusion", {"rate": 2})
    assert checkpoint.finished(tmp_path / "diffusion", 6)


@pytest.mark.parametrize(("stage", "critic", "setting"), [
    ("image-codec", True, "adversarial_rate in [image_codec]"), ("texture", True, "learning_rate in [texture."),
    ("finish-1", False, "[finish.optimiser]"), ("small-mask-encoder", False, "[small_codec.optimiser]"),
    ("label-vae", False, "[label_vae.optimiser]"), ("segmenter", False, "learning_rate in [segmenter]")])
def test_the_setting_of_each_stage(stage: str, critic: bool, setting: str) -> None:
    assert setting in rate_setting(stage, 0.1, critic=critic)


@pytest.mark.parametrize("name", ["state.pt", "model.safetensors", "config.json"])
def test_a_damaged_file_is_named_and_deleting_it_lets_the_command_go_on(tmp_path: Path, name: str) -> None:
    train(Line, replace(SHORT, steps=3), RUN, tmp_path / "s", {})
    (tmp_path / "s" / name).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=name):
        train(Line, SHORT, RUN, tmp_path / "s", {})
    (tmp_path / "s" / name).unlink()
    train(Line, SHORT, RUN, tmp_path / "s", {})
    assert checkpoint.finished(tmp_path / "s", 6)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    train(Line, SHORT, RUN, tmp_path / "s", {})
    with pytest.raises(InputError, match="another network"):
        checkpoint.load_weights(nn.Linear(2, 2), tmp_path / "s", "s", {})


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match=r"state\.pt: cannot be written .*Free space"):
        train(Line, SHORT, RUN, tmp_path / "s", {})


class TooLarge(Line):
    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.zeros(10**15).sum(), {}


def test_memory_that_runs_out_is_a_message_with_the_step(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"diffusion, step 0: out of memory .*batch_size"):
        train(TooLarge, SHORT, RUN, tmp_path / "diffusion", {})


@pytest.mark.parametrize(("error", "kind"), [
    (AssertionError("Torch not compiled with CUDA enabled"), ProviderError),
    (RuntimeError("Found no NVIDIA driver on your system."), ProviderError),
    (RuntimeError("CUDA error: invalid device ordinal"), ProviderError),
    (RuntimeError("Some background worker is 6 feet under. Yuck."), WorkerError),
    (OSError(errno.ENOSPC, "No space left on device"), InputError)])
def test_errors_of_libraries_that_a_user_causes(error: Exception, kind: type[Exception]) -> None:
    assert isinstance(explain(error), kind)


def test_our_own_defects_stay_tracebacks() -> None:
    assert explain(AssertionError("x")) is None and explain(KeyError("memory")) is None
