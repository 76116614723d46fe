"""The three levels of reproducibility that docs/reliability.md promises.

L0: the same plan on the same provider and build gives the same bytes. L1: another batch size gives the same noise,
steps and label maps, and pixels within a tolerance. L2: another provider gives pixels and measured attributes within
one. The committed bundle is tried at every level, tiny ones where that is quicker.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator, Segmenter
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.engines.choose import Choice
from cldm_runtime.engines.engine import Engine
from cldm_runtime.errors import ProviderError
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.verification.compare import Yardstick

ROOT = Path(__file__).parents[2]
LGE, ANATOMY, SEGMENTER = (ROOT / "exported" / name for name in ("lge", "lge-anatomy", "lge-segmenter"))
GRID = "infarct_size,transmurality\n0.1,0.5\n0,\n0.2,\n"
ASKED = ("gen", "--n", "33", "--seed", "3", "--batch-size", "4")
CLDM = "import sys; from cldm_runtime.cli.main import cldm, run; sys.exit(run(cldm, sys.argv[1:]))"
ONE_CORE = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
SAMPLES = 17  # of L1


@dataclass(frozen=True)
class Case:
    """A command, and the file of one process that nothing disturbed: 33 samples in three parts, the last of one."""

    words: tuple[str, ...]
    expected: bytes = field(default=b"", repr=False)

    def run(self, out: Path, *flags: str) -> bytes:
        assert run(cldm, [*self.words, "--out", str(out), *flags]) == 0
        return out.read_bytes()


@pytest.fixture(scope="module")
def cases(_bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    folder, found = tmp_path_factory.mktemp("whole"), {}
    (folder / "grid.csv").write_text(GRID)
    for name, bundle in (("lge", LGE), ("tiny", _bundles / "generator")):
        case = Case((*ASKED, "--attributes", str(folder / "grid.csv"), "--bundle", str(bundle)))
        found[name] = Case(case.words, case.run(folder / f"{name}.h5", "--workers", "1"))
    return found


@pytest.mark.parametrize(("name", "workers"), [("lge", "3"), ("tiny", "2"), ("tiny", "3")])
def test_l0_any_number_of_workers(cases: dict[str, Case], tmp_path: Path, name: str, workers: str) -> None:
    assert cases[name].run(tmp_path / "samples.h5", "--workers", workers) == cases[name].expected


@pytest.mark.parametrize(("name", "stop", "code", "workers"), [
    ("lge", signal.SIGKILL, -9, "2"), ("tiny", signal.SIGKILL, -9, "1"), ("tiny", signal.SIGTERM, 130, "1"),
    ("tiny", signal.SIGINT, 130, "1")])
def test_l0_a_stopped_or_killed_run_is_resumed(cases: dict[str, Case], tmp_path: Path, name: str,
                                               stop: signal.Signals, code: int, workers: str) -> None:
    out, case = tmp_path / "samples.h5", cases[name]
    command = [sys.executable, ROOT / "tests" / "stopped_run.py", str(int(stop)), "20", *case.words[1:], "--out", out,
               "--workers", "1"]
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert stopped.returncode == code and "Traceback" not in stopped.stderr and not out.exists()
    assert ("16 of 33 samples are kept" in stopped.stderr and "--resume" in stopped.stderr) or stop == signal.SIGKILL
    assert list(tmp_path.glob("samples.h5.parts/part-*.h5"))
    assert case.run(out, "--resume", "--workers", workers) == case.expected
    assert [path.name for path in tmp_path.iterdir()] == ["samples.h5"]


def test_l0_any_number_of_shards_in_any_order(cases: dict[str, Case], tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cldm_runtime.runs.run.PART_SAMPLES", 4)  # nine parts
    case, shuffle = cases["tiny"], random.Random(0).sample
    expected = case.run(tmp_path / "whole.h5", "--workers", "1")
    for count in (1, 2, 5, 8):
        out = tmp_path / f"{count}.h5"
        for number in shuffle(range(count), count):
            words = [*case.words, "--out", str(out), "--shard", f"{number}/{count}", "--workers", "1"]
            assert run(cldm, words) == 0 and not out.exists()
        assert case.run(out, "--merge") == expected
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize(("before", "environment"), [
    ("", {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
          "PYTHONHASHSEED": "0"}),
    ("", {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}),
    (ONE_CORE, {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "random"}),
], ids=["place, time and language", "one thread", "one core"])
def test_l0_elsewhere(cases: dict[str, Case], tmp_path: Path, before: str, environment: dict[str, str]) -> None:
    """Another folder, and the bundle in another one, in a process with another environment and as many workers as it
    has cores."""
    if before and not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not give a process cores of its own")
    shutil.copytree(LGE, tmp_path / "bündle" / "lge")
    (tmp_path / "asked.csv").write_text(GRID)
    words = [*ASKED, "--attributes", "asked.csv", "--bundle", "bündle/lge", "--out", "deep/er.h5"]
    done = subprocess.run([sys.executable, "-c", before + CLDM, *words], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "deep" / "er.h5").read_bytes() == cases["lge"].expected


class Recording:
    """An engine that keeps what it was given."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.provider, self.given = engine, engine.provider, list[Mapping[str, np.ndarray]]()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.given.append(inputs)
        return self.engine.run(inputs)


class Workshop:
    """A generator whose networks tell what they were given."""

    def __init__(self, bundle: Path, anatomy: Path | None = None) -> None:
        self.model = Generator.load(bundle, threads=1, anatomy=anatomy)
        self.engines = {role: Recording(engine) for role, engine in self.model.pipeline._engines.items()}
        self.model.pipeline._engines = self.engines
        grid = grid_from_mapping({"infarct_size": [0.0, 0.1, 0.2]}, self.model.domain)
        self.source = GridRequests.spread(grid, SAMPLES, self.model.canvas)

    def draw(self, batch_size: int, **changes: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """What no batch size may change of samples, and their images."""
        for engine in self.engines.values():
            engine.given.clear()
        settings = self.model.settings(batch_size=batch_size, **changes)  # type: ignore[arg-type]
        batches = list(self.model.batches(self.source, range(SAMPLES), 3, settings))
        calls, last = self.engines["denoiser"].given, self.engines["decoder"].given
        rows = {name: [getattr(batch, name) for batch in batches] for name in ("masks", "requested", "sample_index")}
        rows |= {"noise": [call["x"] for call in calls[::settings.steps]],
                 "texture noise": [call["texture_noise"] for call in last]}
        same = {name: np.concatenate(parts)[:SAMPLES] for name, parts in rows.items()}  # the last batch is filled up
        same["steps"] = np.array([call["timestep"][0] for call in calls[:settings.steps]])
        return same, np.concatenate([batch.images for batch in batches])


def assert_l1(workshop: Workshop, expected: tuple[dict[str, np.ndarray], np.ndarray], batch_size: int,
              **changes: str) -> None:
    same, images = workshop.draw(batch_size, **changes)
    for name, array in expected[0].items():
        np.testing.assert_array_equal(same[name], array, err_msg=name)
    reference = workshop.model.manifest.reference
    assert reference is not None
    assert np.abs(images - expected[1]).max() <= reference.tolerances["loop/image"]


@pytest.fixture(scope="module")
def lge() -> tuple[Workshop, tuple[dict[str, np.ndarray], np.ndarray]]:
    workshop = Workshop(LGE)
    return workshop, workshop.draw(16)


@pytest.mark.parametrize("batch_size", range(1, SAMPLES + 1))
def test_l1_any_batch_size(lge: tuple[Workshop, tuple[dict[str, np.ndarray], np.ndarray]], batch_size: int) -> None:
    assert_l1(*lge, batch_size)


def test_l1_with_a_learned_anatomy() -> None:
    workshop = Workshop(LGE, ANATOMY)
    expected = workshop.draw(16)
    for batch_size in (1, 5):
        assert_l1(workshop, expected, batch_size)


def test_l1_with_fresh_noise_at_every_step(tiny_generator: Path) -> None:
    workshop = Workshop(tiny_generator)
    expected = workshop.draw(16, sampler="ddpm")
    for batch_size in (1, 3, 17):
        assert_l1(workshop, expected, batch_size, sampler="ddpm")


@pytest.mark.parametrize(("precision", "segmenter"), [("fp32", SEGMENTER), ("bf16", None)])
def test_l2_another_provider_and_precision(precision: str, segmenter: Path | None) -> None:
    """Pixels, and in fp32 what the segmenter measures: in bf16 that of single images is beyond its tolerance."""
    yardstick = Yardstick(Bundle.load(LGE), segmenter and Segmenter.load(segmenter), samples=8)
    try:
        report = yardstick.report(Choice("openvino", "openvino", precision))
    except ProviderError as error:
        pytest.skip(str(error))
    assert report.failed == () and report.samples is not None
    assert report.samples.max_abs > 0 and len(report.samples.drifts) == (3 if segmenter else 0)
