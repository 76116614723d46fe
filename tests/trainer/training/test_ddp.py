"""Training shared by two processes, which average their gradients over gloo on the CPU."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import shared_training
from cldm_runtime.errors import InputError, WorkerError
from cldm_trainer.cli import arguments, run_stage
from cldm_trainer.config import Config, RunConfig
from cldm_trainer.stages import diffusion
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.training import checkpoint, launch
from cldm_trainer.training.processes import join

SCRIPT = Path(shared_training.__file__)
STAGES = ("image-codec", "mask-codec", "texture", "label-vae", "diffusion", "control", "finish")
LONG = """
extends = "small.toml"
[diffusion]
condition = "attributes"
optimiser = {steps = 60, batch_size = 4, learning_rate = 1e-3, warmup_steps = 1, log_every = 1}
"""
ODD = """
extends = "small.toml"
[run]
name = "odd"
[image_codec]
optimiser = {steps = 4, batch_size = 3, learning_rate = 1e-3}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, make_small_config: Callable[[Path], Config]) -> Config:
    """A run with codecs and latents, and beside it `base`, an unconditional denoiser on them."""
    folder = tmp_path_factory.mktemp("shared")
    config = make_small_config(folder)
    for name, text in (("long.toml", LONG), (shared_training.ODD, ODD)):
        (folder / name).write_text(text)
    for stage in ("image-codec", "mask-codec", "latents"):
        run_stage(stage, config)
    run_stage("diffusion", replace(config, run=replace(config.run, name="base", codecs="small"),
                                        diffusion=replace(config.diffusion, condition="none")))
    return config


@pytest.fixture(scope="module")
def folder(small: Config) -> Path:
    return Path(small.run.folder).parent


@pytest.fixture(scope="module")
def pair(small: Config, folder: Path) -> list[tuple[int, str]]:
    """Exit codes and stderr of two processes, started as torchrun starts them; `one` and `two` hold the stages."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    both = [subprocess.Popen([sys.executable, str(SCRIPT)], cwd=folder, stderr=subprocess.PIPE, text=True,
                             env={**os.environ, **group, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"]
    shared_training.train_all(small, folder / "one")
    said = [process.communicate(timeout=240)[1] for process in both]
    return [(process.returncode, text) for process, text in zip(both, said, strict=True)]


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def apart(a: dict[str, Tensor], b: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """How far two trainings are apart, as a share of the way that they went."""
    gap, way = (torch.cat([(x[name] - y[name]).flatten() for name in x]) for x, y in ((a, b), (a, start)))
    return float(gap.norm() / way.norm())


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_train_what_one_trains(stage: str, small: Config, folder: Path,
                                             pair: list[tuple[int, str]]) -> None:
    torch.manual_seed(small.run.seed)
    start = shared_training.tasks(small)[stage]().model.state_dict()
    one, two = (torch.load(folder / name / stage / checkpoint.STATE)["model"] for name in ("one", "two"))
    assert apart(one, two, start) < 0.01
    for alone, shared in zip(rows(folder / "one" / stage), rows(folder / "two" / stage), strict=True):
        assert {key: float(value) for key, value in shared.items() if not key.startswith("seconds")} == pytest.approx(
            {key: float(value) for key, value in alone.items() if not key.startswith("seconds")}, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_both_processes_hold_the_same_weights(stage: str, folder: Path, pair: list[tuple[int, str]]) -> None:
    first, second = (torch.load(folder / "two" / f"{stage}.{rank}") for rank in "01")
    assert set(first) == {"model", "average"} | ({"critic"} if stage in ("texture", "finish") else set())
    for part in first:
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])


def test_a_batch_that_cannot_be_split_is_one_message(pair: list[tuple[int, str]]) -> None:
    (code, said), (other_code, other_said) = pair
    assert (code, other_code) == (2, 2) and "Traceback" not in said + other_said
    assert "image-codec: its batch_size 3 cannot be split among 2 processes" in said and "error" not in other_said


def start_long(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """`cldm-train diffusion` in two processes. Returns it and the two when they have logged a step of their own."""
    log, done = folder / "runs" / "small" / "diffusion", -1
    command = [sys.executable, "-m", "cldm_trainer.cli", "diffusion", "--config", "long.toml", "--devices", "2"]
    if (log / "log.csv").exists():
        done = len(rows(log))
    starter = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (log / "log.csv").exists() or len(rows(log)) <= done + 1:
        assert starter.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()
    return starter, [int(child) for child in children]


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_a_run_that_is_stopped_and_killed_at_one_process_ends_as_a_whole_one(small: Config, folder: Path) -> None:
    starter, children = start_long(folder)
    os.kill(children[1], signal.SIGTERM)  # not at the first, which writes the checkpoints
    said = starter.communicate(timeout=120)[1]
    assert starter.returncode == 130 and said.count("error") == said.count("diffusion stopped at step") == 1
    stopped_at = len(rows(small.run_folder / "diffusion"))
    starter, children = start_long(folder)
    os.kill(children[0], signal.SIGKILL)
    said = starter.communicate(timeout=120)[1]
    assert starter.returncode == WorkerError.exit_code and "process 0 of 2 was ended by SIGKILL" in said
    assert "Traceback" not in said and not any(Path(f"/proc/{child}").exists() for child in children)
    long = replace(small, diffusion=load_config(folder / "long.toml").diffusion)
    whole = replace(long, run=replace(long.run, name="whole", codecs="small"))
    for config in (long, whole):  # the first goes on, in one process
        run_stage("diffusion", config)
    assert stopped_at < 60 and [int(row["step"]) for row in rows(long.run_folder / "diffusion")] == list(range(1, 61))
    torch.manual_seed(long.run.seed)
    start = diffusion.make_task(*arguments("diffusion", long)).model.state_dict()
    parts, uninterrupted = (torch.load(config.run_folder / "diffusion" / checkpoint.STATE)["model"]
                            for config in (long, whole))
    assert apart(parts, uninterrupted, start) < 0.01


def test_devices_that_nobody_started_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="only `cldm-train`, srun and torchrun start several processes"):
        join(RunConfig("run", devices=2))
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(InputError, match="srun started 4 processes, but 2 devices x 1 nodes take 2"):
        launch.must_start(RunConfig("run", devices=2))


def test_nodes_need_a_meeting_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "node0")
    with pytest.raises(InputError, match="2 nodes: MASTER_PORT, NODE_RANK not set"):
        launch.run_together(["diffusion"], RunConfig("run", nodes=2))
