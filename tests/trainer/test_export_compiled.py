"""A network as native code, compiled once for all tests of this file; skipped without a C++ compiler."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cldm_runtime.errors import ProviderError
from cldm_trainer.cli import cli
from cldm_trainer.config import Config
from cldm_trainer.export import compiled
from cldm_trainer.export.compiled import package, speed
from cldm_trainer.export.parity import ParityError

needs_compiler = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler here")
X = torch.linspace(-1, 1, 2 * 3 * 16).reshape(2, 3, 4, 4)
CASES = {"random": {"x": X}, "with other strides": {"x": X.flip(0).to(memory_format=torch.channels_last)}}


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.GroupNorm(2, 4), torch.nn.SiLU()).eval()


@needs_compiler
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # which torch uses itself when it opens one
def test_a_compiled_network_takes_any_batch_and_a_wrong_one_is_not_kept(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, path = network(), tmp_path / "denoiser.pt2"
    engine = package.compile_network("denoiser", module, CASES, 1e-5, path)
    x = torch.randn(5, 3, 4, 4)
    with torch.no_grad():
        np.testing.assert_allclose(engine.run({"x": x.numpy()})[package.OUTPUT], module(x).numpy(), atol=1e-6)
    before = path.read_bytes()
    monkeypatch.setattr(package, "write_package", lambda module, inputs, target: shutil.copy(path, target))
    with pytest.raises(ParityError, match=r"denoiser \(compiled\), 2 random inputs"):
        package.compile_network("denoiser", network(seed=1), CASES, 1e-5, path)
    assert path.read_bytes() == before and [item.name for item in tmp_path.iterdir()] == ["denoiser.pt2"]


def test_without_a_compiler_one_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, small: Config) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ProviderError, match=r"a C\+\+ compiler is needed .* apt install g\+\+"):
        compiled.run(small, batch_size=8, say=print)
    assert not small.run_folder.exists()


def test_forms_have_their_turns_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []

    class Form:
        provider = "none"

        def __init__(self, name: str) -> None:
            self.name = name

        def run(self, inputs: object) -> dict[str, object]:
            turns.append(self.name)
            return {}

    monkeypatch.setattr(speed, "_PAUSE", 0)
    found = speed.time_in_turn({"a": Form("a"), "b": Form("b")}, {})
    assert turns == ["a", "b"] * 12 and {name: len(seconds) for name, seconds in found.items()} == {"a": 9, "b": 9}


def test_the_table_shows_medians_for_one_image() -> None:
    table = speed.as_table({"denoiser": {speed.EAGER: [0.08, 0.016, 0.016], speed.ONNX: [0.008, 0.012, 0.004]}}, 8)
    assert table.splitlines()[2:] == ["| denoiser | torch, eager | 2.00 | 2.00 to 10.00 | 1.00 |",
                                      "| denoiser | onnxruntime | 1.00 | 0.50 to 1.50 | 2.00 |"]


def test_the_command_times_what_it_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from short_run_fixtures import train_short

    config = train_short(tmp_path)
    opened: list[str] = []

    def plain(role: str, module: torch.nn.Module, cases: dict[str, dict[str, torch.Tensor]], tolerance: float,
              path: Path) -> package.Called:
        opened.append(path.name)
        return package.Called(module, tuple(cases["real"]))

    monkeypatch.setattr(package, "compile_network", plain)
    monkeypatch.setattr(speed, "_ROUNDS", 2)
    monkeypatch.setattr(speed, "_PAUSE", 0)
    monkeypatch.setattr("cldm_trainer.cli.load_config", lambda path: config)
    outcome = CliRunner().invoke(cli, ["compile", "--config", "x.toml", "--batch-size", "3"], catch_exceptions=False)
    assert outcome.exit_code == 0 and outcome.output.count("| denoiser |") == outcome.output.count("| decoder |") == 4
    assert opened == ["denoiser.pt2", "mask_encoder.pt2", "decoder.pt2", "encoder.pt2"]
    facts = json.loads((config.run_folder / "compiled" / "speed.json").read_text())
    assert facts["batch_size"] == 3 and list(facts["seconds_per_batch"]) == ["denoiser", "decoder"]
    assert all(len(seconds) == 2 for seconds in facts["seconds_per_batch"]["decoder"].values())
