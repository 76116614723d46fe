"""The C++ program in benchmarks: its own rows, and as a contender beside Python's."""

import json
from pathlib import Path

import pytest

from cldm_runtime.bench.bundle_bench import NETWORKS
from cldm_runtime.bench.contest import Contender, ContestOptions, run_contest
from cldm_runtime.bench.remote import ContenderFailed, Remote
from cldm_runtime.bench.rows import COLUMNS, read_rows
from cldm_runtime.bench.work import BundleNetworks, denoiser_evaluations
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.generation.generator import Generator
from cpp_program import BUNDLE, PROGRAM, SEGMENTER, TEACHER, copied, cpp, needs_program

pytestmark = needs_program
CHILD = (str(PROGRAM), "child")


def test_a_row_has_the_columns_of_cldm_bench(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    done = [cpp("bench", BUNDLE, "--batch", "2,1", "--rounds", 3, "--out", file) for _ in range(2)]
    assert [outcome.returncode for outcome in done] == [0, 0], done[0].stderr
    rows = read_rows(file)
    assert rows == [json.loads(outcome.stdout) for outcome in done]  # the second was added to the first
    row = rows[0]
    assert set(COLUMNS) <= set(row) and row["name"] == "lge in C++, ddim 2"
    assert row["networks"] == Bundle.load(BUNDLE).identity and set(row["scan"]) == {"1", "2"}
    assert row["batch_size"] == int(max(row["scan"], key=lambda batch: row["scan"][batch]))
    assert row["images_per_second"] == pytest.approx(1 / sorted(row["seconds_per_image"])[1], rel=1e-4)
    assert set(row["stages"]) == {"noise", "condition encoder", "denoiser and sampler", "decoder"}
    assert row["first_image_seconds"] > row["first_image_parts"]["load"] > 0 and row["peak_memory_mib"] > 30
    assert row["machine"]["cores"] >= 1 and row["versions"]["onnxruntime"] and row["error"] is None


@pytest.mark.parametrize("settings", [{}, {"steps": 8}, {"guidance": 1.0, "sampler": "unipc", "steps": 5}])
def test_facts_and_parts_are_those_of_python(settings: dict[str, object]) -> None:
    arguments = {"bundle": str(TEACHER), "threads": 1, **settings}
    work = BundleNetworks(**arguments)
    work.prepare(1)
    with Remote(1, command=CHILD) as process:
        assert process.load(NETWORKS, {**arguments, "seed": None})["load"] > 0
        process.prepare(1)
        told, facts = process.facts(), work.facts()
        assert told.pop("peak_memory_bytes") > 2**24
        assert told == {name: facts[name] for name in told} and {"evaluations", "precision", "networks"} <= set(told)
        assert set(process.estimate() or {}) == set(work.estimate())


def test_a_guided_interval_counts_as_in_python(tmp_path: Path) -> None:
    file = copied(TEACHER, tmp_path) / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["sampling"] |= {"guidance": 2.0, "guidance_interval": [0.2, 0.6], "steps": 7}
    file.write_text(json.dumps(manifest))
    generator = Generator.load(tmp_path)
    with Remote(1, command=CHILD) as process:
        process.load(NETWORKS, {"bundle": str(tmp_path)})
        assert process.facts()["evaluations"] == denoiser_evaluations(generator.manifest, generator.settings())


def test_what_goes_wrong_in_the_child_is_an_answer() -> None:
    with Remote(1, command=CHILD) as process:
        for request, message in (({"do": "complete"}, "nothing is loaded"), ({"nonsense": 1}, "'do' not found"),
                                 ({"factory": "a:b", "arguments": {}}, "carries out")):
            with pytest.raises(ContenderFailed, match=message):
                process.ask(request)
        with pytest.raises(ContenderFailed, match="expected a generator"):
            process.load(NETWORKS, {"bundle": str(SEGMENTER)})


def test_the_program_takes_turns_with_python() -> None:
    arguments = {"bundle": str(BUNDLE), "threads": 1}
    contenders = [Contender("Python", "networks", NETWORKS, arguments),
                  Contender("C++", "networks", NETWORKS, arguments, program=str(PROGRAM))]
    found = run_contest(contenders, ContestOptions(2, 0.0, (2,), 1),
                        lambda program: Remote(1, command=(program, "child")) if program else Remote(1), lambda: 1.0)
    python, other = found.timed
    assert (python.error, other.error) == (None, None) and (python.turns, other.turns) == ([0, 2], [1, 3])
    assert set(other.parts or {}) == set(python.parts or {}) and other.facts["evaluations"] == 2
