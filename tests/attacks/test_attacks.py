"""Every attack ends in one typed error, in 300 MiB and three seconds of processor time (one on an idle core), and
starts and fetches nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")  # makes the graphs

from attacks import arrays, bundles, datasets, plans, tables, volumes  # noqa: F401 (they fill ATTACKS)
from attacks.corpus import ATTACKS

SECONDS, MEBIBYTES, LONGEST_MESSAGE = 3.0, 300.0, 70_000
NEEDED = {"prepare": "nibabel", "plans": "nnunetv2"}
Report = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Report]:
    """What `child.py` says of each attack on a parser; each parser is attacked once."""
    known: dict[str, Report] = {}

    def report(parser: str) -> Report:
        if parser not in known:
            if parser in NEEDED:
                pytest.importorskip(NEEDED[parser])
            folder = tmp_path_factory.mktemp(parser)
            paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
            command = [sys.executable, "-W", "ignore", "-m", "attacks.child", parser, str(folder)]
            done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True,
                                  text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            assert not (folder / "attacked").exists(), "an attack ran a command"
            known[parser] = {line["attack"]: line for line in lines}
        return known[parser]

    return report


@pytest.mark.parametrize("parser", list(ATTACKS))
def test_the_sound_input_is_read(parser: str, reports: Callable[[str], Report]) -> None:
    """So that attacks fail for what they do, and not because nothing passes."""
    found = reports(parser)[""]
    assert found["said"] == "nothing" and not found["events"], found["message"]


@pytest.mark.parametrize(("parser", "attack"), [(parser, name) for parser, named in ATTACKS.items() for name in named])
def test_an_attack_is_refused(parser: str, attack: str, reports: Callable[[str], Report]) -> None:
    found = reports(parser)[attack]
    assert found["said"] == "CldmError", found["message"]
    assert found["events"] == []
    assert found["seconds"] < SECONDS and found["mebibytes"] < MEBIBYTES, found
    assert 10 < found["length"] < LONGEST_MESSAGE
    assert found["message"].replace("\n", "").isprintable()
