"""Benchmarks: operations by hand, turns in order, rows that are complete; processes are played by objects here."""

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from onnx.helper import make_node

import onnx_fixtures
from cldm_runtime.bench import child, machine
from cldm_runtime.bench.bundle_bench import Sampling, cpp_contender, networks_contender, path_contenders
from cldm_runtime.bench.contest import Contender, ContestOptions, run_contest
from cldm_runtime.bench.onnx_flops import graph_flops, operations
from cldm_runtime.bench.remote import ContenderFailed, Remote
from cldm_runtime.bench.rows import COLUMNS, EXTRAPOLATED, SharedFacts, append_rows, make_rows, read_rows, speed_table
from cldm_runtime.bench.work import BundleNetworks, WholePath, denoiser_evaluations
from cldm_runtime.bundle.manifest import GraphSpec
from cldm_runtime.errors import InputError
from cldm_runtime.generation.generator import Generator
from onnx_fixtures import tensor

SETTING = SharedFacts({"cpu": "abacus", "cores": 2}, {"numpy": "2"}, 2, 7, "2026-01-01T00:00:00+00:00", "cldm bench")


class Played:
    """A contender's process: one image takes `overhead` / batch + `each` seconds; sizes above `largest` fail."""

    def __init__(self, log: list, each: float = 0.1, overhead: float = 1.0, largest: int = 99, steps: int = 0) -> None:
        self.log, self.each, self.overhead, self.largest, self.steps = log, each, overhead, largest, steps
        self.started, self.batch = 0.0, 0

    def load(self, factory, arguments):
        self.name = arguments["name"]
        if self.name == "broken":
            raise ContenderFailed("ImportError: no such thing")
        return {"import": 0.25, "load": 0.5}

    def prepare(self, batch):
        if batch > self.largest:
            raise ContenderFailed("out of memory")
        self.batch = batch

    def complete(self):
        self.log.append((self.name, self.batch))
        return self.overhead + self.each * self.batch, self.batch

    def estimate(self):
        self.log.append((self.name, "estimate"))
        return {"images": self.batch, "loop": self.steps * 0.01 * self.batch} if self.steps else None

    def facts(self):
        return {"gflop_per_image": 30.0, "peak_memory_bytes": 3 * 2**20, "steps": 5, "networks": "n"}

    def close(self):
        self.log.append((getattr(self, "name", ""), "closed"))


def contender(name: str, **options) -> Contender:
    return Contender(name, "networks", "a:b", {"name": name}, {"provider": "cpu"}, **options)


def contest(contenders, rounds=3, batches=(1, 2, 4), clock=lambda: 0.75, **played):
    log, products = [], iter((100.0, 90.0, 110.0))
    found = run_contest(contenders, ContestOptions(rounds, 0.0, batches, 2), lambda program: Played(log, **played),
                        lambda: next(products), clock=clock)
    return found, log


def test_contenders_are_timed_in_turn() -> None:
    found, log = contest([contender("a"), contender("b"), contender("c")])
    a, b, c = found.timed
    assert (a.turns, b.turns, c.turns) == ([0, 3, 6], [1, 4, 7], [2, 5, 8])
    timed = [entry for entry in log if entry[1] == 4][-9:]  # the rounds come last, at the best batch size
    assert [name for name, _ in timed] == ["a", "b", "c"] * 3
    assert found.products == [100.0, 90.0, 110.0]


def test_the_fastest_batch_size_is_timed_and_one_that_fails_ends_the_search() -> None:
    found, _ = contest([contender("a")], batches=(1, 2, 4), largest=2)
    assert found.timed[0].scan == pytest.approx({1: 1 / 1.1, 2: 2 / 1.2})
    assert found.timed[0].batch == 2 and found.timed[0].error is None
    assert found.timed[0].seconds == pytest.approx([0.6] * 3)


def test_a_contender_that_fails_is_a_row_with_its_error() -> None:
    found, _ = contest([contender("broken"), contender("a")])
    rows = make_rows(found, SETTING)
    assert rows[0]["error"] == "ImportError: no such thing" and rows[0]["images_per_second"] is None
    assert rows[1]["turns"] == [0, 1, 2]
    assert "- broken: not measured, ImportError" in speed_table(rows)


def test_every_run_counts_as_progress_also_of_what_fails() -> None:
    seen = []
    run_contest([contender("broken"), contender("a"), contender("b", batch_of="a")], ContestOptions(2, 0.0, (1, 2), 2),
                lambda program: Played([]), lambda: 1.0, clock=lambda: 0.75, progress=lambda *pair: seen.append(pair))
    assert seen == [(done, 15) for done in (4, 8, 9, 10, 11, 12, 13, 14, 15)]  # two runs of each size, two rounds


def test_a_long_loop_is_extrapolated_and_checked_once() -> None:
    found, log = contest([contender("a", extrapolate=True, check=True)], steps=1000)
    row = make_rows(found, SETTING)[0]
    assert row["timing"] == EXTRAPOLATED and row["images_per_second"] == pytest.approx(0.1)
    assert row["check"] == {"images": 1, "seconds": 1.1, "seconds_per_image": 1.1}
    assert row["stages"] == {"loop": 10.0}
    assert log.count(("a", 1)) == 2  # the first image and the check


def test_a_batch_size_can_be_that_of_another() -> None:
    found, _ = contest([contender("a"), contender("b", batch_of="a")])
    assert found.timed[1].batch == 4 and found.timed[1].scan == {}


def test_turns_last_as_long_as_is_asked() -> None:
    log: list = []
    run_contest([contender("a")], ContestOptions(1, 5.0, (1,), 1), lambda program: Played(log), lambda: 1.0)
    assert log.count(("a", 1)) == 3 + 1 + 5  # first image, two for the size; warm-up; 5 x 1.1 s


def test_rows_are_complete_and_survive_their_file(tmp_path: Path) -> None:
    rows = make_rows(contest([contender("a"), contender("broken")])[0], SETTING)
    assert all(set(COLUMNS) <= set(row) for row in rows)
    row = rows[0]
    assert row["images_per_second"] == pytest.approx(4 / 1.4, rel=1e-4) and row["steps"] == 5
    assert row["share_of_matrix_product"] == pytest.approx(30 * 4 / 1.4 / 100, rel=1e-4)
    assert row["peak_memory_mib"] == 3 and row["first_image_seconds"] == 0.75
    file = append_rows(append_rows(tmp_path / "b" / "rows.jsonl", rows[:1]), rows[1:])
    assert read_rows(file) == rows


def test_operations_of_the_four_operators_by_hand() -> None:
    assert operations("Conv", [[1, 3, 8, 8], [5, 3, 3, 3]], [[1, 5, 8, 8]]) == 2 * 5 * 64 * 27
    assert operations("ConvTranspose", [[1, 4, 8, 8], [4, 6, 2, 2]], [[1, 6, 16, 16]]) == 2 * 4 * 64 * 24
    assert operations("MatMul", [[7, 3, 4], [4, 5]], [[7, 3, 5]]) == 2 * 7 * 3 * 5 * 4
    assert operations("Gemm", [[2, 4], [6, 4]], [[2, 6]]) == 2 * 2 * 6 * 4
    assert operations("Attention", [[1]], [[1]]) is None


def test_operations_of_a_graph() -> None:
    inputs, outputs = [tensor("x", 3, 8, 8)], [tensor("y", 2, 16, 16)]
    nodes = [make_node("Conv", ["x", "k"], ["h"], pads=[1, 1, 1, 1]), make_node("Relu", ["h"], ["r"]),
             make_node("ConvTranspose", ["r", "u"], ["y"], strides=[2, 2])]
    constants = {"k": np.ones((4, 3, 3, 3), np.float32), "u": np.ones((4, 2, 2, 2), np.float32)}
    graph = GraphSpec("g.onnx", "0" * 64, "fp32", tuple(inputs), tuple(outputs))
    data = onnx_fixtures.model(nodes, inputs, outputs, constants)
    assert graph_flops(data, graph) == 2 * 4 * 64 * 27 + 2 * 4 * 64 * 8
    odd = onnx_fixtures.model([make_node("Einsum", ["x"], ["y"], equation="nchw->nhw")], inputs, [tensor("y", 8, 8)])
    with pytest.raises(InputError, match="operations of Einsum are not counted"):
        graph_flops(odd, graph)


def test_guided_steps_ask_twice(tiny_guided: Path) -> None:
    generator = Generator.load(tiny_guided)
    assert denoiser_evaluations(generator.manifest, generator.settings(steps=5)) == 10
    assert denoiser_evaluations(generator.manifest, generator.settings(steps=5, guidance=1.0)) == 5
    assert denoiser_evaluations(generator.manifest, generator.settings(steps=4, guidance_interval=(0.0, 0.6))) < 8


def test_the_parts_of_a_batch_are_those_of_the_whole_loop(tiny_guided: Path) -> None:
    ticks = itertools.count()
    work = BundleNetworks(str(tiny_guided), threads=1, clock=lambda: float(next(ticks)), steps=8)
    work.prepare(3)
    assert work.complete() == 3
    parts = work.estimate()
    # Every reading of the clock is a second later; the loop ran 4 of 8 steps.
    assert parts == {"images": 3, "noise": 1, "condition encoder": 1, "denoiser and sampler": 2, "decoder": 1}
    assert work.facts()["evaluations"] == 16 and work.image().shape == (1, 1, 128, 128)


@pytest.mark.parametrize("to_file", [False, True])
def test_the_whole_path_makes_two_batches_or_a_file(tiny_generator: Path, to_file: bool,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cldm_runtime.bench.work._FILE_IMAGES", 8)
    work = WholePath(str(tiny_generator), threads=1, to_file=to_file)
    work.prepare(2)
    assert work.complete() == (8 if to_file else 4)
    assert set(work.facts()["stages"]) == {"drawing label maps", "writing"}


def test_contenders_of_a_bundle(tiny_generator: Path) -> None:
    options = ContestOptions(threads=1)
    own = networks_contender("tiny", tiny_generator, Sampling(), options)
    assert own.name == "tiny, ddim 4" and not own.extrapolate
    assert networks_contender("tiny", tiny_generator, Sampling("ddpm", 1000), options).extrapolate
    assert [other.batch_of for other in path_contenders(own)] == [own.name] * 2
    rival = cpp_contender(own, Path("/bin/cldm-cpp"), "tiny")
    assert (rival.name, rival.program, rival.arguments) == ("tiny in C++, ddim 4", "/bin/cldm-cpp", own.arguments)


def test_what_goes_wrong_in_a_contender_is_an_answer(tiny_generator: Path) -> None:
    contestant = child.Contestant()
    assert contestant.answer({"do": "complete"}) == {"error": "ValueError: nothing is loaded"}
    wrong = contestant.answer({"factory": "cldm_runtime.bench.work:BundleNetworks", "arguments": {"bundle": "/none"}})
    assert wrong["error"].startswith("BundleError")
    answers = io.StringIO()
    child.serve(io.StringIO('{"do": "product", "size": 8}\n'), answers)
    assert json.loads(answers.getvalue())["gflops"] > 0


def test_a_contender_in_a_process_of_its_own(tiny_generator: Path) -> None:
    with Remote(1) as process:
        loaded = process.load("cldm_runtime.bench.work:BundleNetworks", {"bundle": str(tiny_generator), "threads": 1})
        process.prepare(2)
        seconds, images = process.complete()
        assert loaded["import"] >= 0 and seconds > 0 and images == 2
        assert process.facts()["peak_memory_bytes"] > 2**24
        with pytest.raises(ContenderFailed, match="ModuleNotFoundError"):
            process.load("no.such:thing", {})
        with pytest.raises(ContenderFailed, match="ended with status 3"):
            process.load("os:_exit", {"status": 3})


def test_a_contender_in_another_program() -> None:
    answer = 'while read -r line; do echo "{\\"seconds\\": 0.5, \\"images\\": 3}"; done'
    with Remote(1, command=("/bin/sh", "-c", answer)) as process:
        assert process.complete() == (0.5, 3)
    with pytest.raises(ContenderFailed, match="/no/such/program does not start"):
        Remote(1, command=("/no/such/program", "child"))


def test_each_contender_gets_its_own_program() -> None:
    started: list[str] = []

    def start(program: str) -> Played:
        started.append(program)
        return Played([])

    run_contest([contender("a"), contender("b", program="b.exe")], ContestOptions(1, 0.0, (1,), 1), start, lambda: 1.0)
    assert started == ["", "b.exe"] * 2  # batch sizes, then rounds


def test_matrix_product_by_a_made_up_clock() -> None:
    ticks = itertools.count()
    assert machine.matrix_product_gflops(10, 2, lambda: float(next(ticks))) == pytest.approx(2e3 / 1e9)
    assert machine.versions(["numpy", "no-such-package"]).keys() == {"python", "numpy"}
    assert machine.machine()["cores"] >= 1
