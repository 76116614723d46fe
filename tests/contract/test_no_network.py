"""The two commands of the demo open no connection and look up no name: not from Python, and not from native code.
examples/container/check.sh also runs them where there is no network at all."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from words_fixtures import write_words

ROOT = Path(__file__).parents[2]
# For every Python that is started, workers too. Sockets between processes of one machine are no network.
GUARD = """
import sys
def refuse(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        raise RuntimeError(f"network: {event}")
    if event in ("socket.connect", "socket.bind", "socket.sendto") and isinstance(arguments[1], tuple):
        raise RuntimeError(f"network: {event}")
sys.addaudithook(refuse)
"""
CLDM = "import sys; from cldm_runtime.cli.main import cldm, run; sys.exit(run(cldm, sys.argv[1:]))"
DEMO = [["gen", "--n", "24", "--workers", "2", "--attributes", ROOT / "examples" / "grid.csv", "--bundle",
         ROOT / "exported" / "lge", "--out", "samples.h5"],
        ["evaluate", "samples.h5", "--segmenter", ROOT / "exported" / "lge-segmenter", "--out", "."]]
STRACE = ("strace", "--follow-forks", "--trace=%network", "--output=calls")
CONNECT = "import socket; socket.create_connection(('127.0.0.1', 9))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands run, with a guard for every Python and an empty home."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    return tmp_path


def python(folder: Path, *words: object, guard: bool = True,
           before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    paths = [*([folder / "guard"] if guard else []), ROOT / "runtime" / "src"]
    known = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run([*before, sys.executable, "-c", *map(str, words)], cwd=folder, capture_output=True, text=True,
                          env=known, check=False)


def run_demo(folder: Path, guard: bool, before: tuple[str, ...] = ()) -> str:
    """What strace saw of both commands, empty without it."""
    calls = ""
    for words in DEMO:
        done = python(folder, CLDM, *words, guard=guard, before=before)
        assert done.returncode == 0, done.stdout + done.stderr
        calls += (folder / "calls").read_text() if before else ""
    assert (folder / "report.html").stat().st_size > 10_000
    return calls


def test_the_demo_uses_no_network_and_leaves_nothing_in_the_home(folder: Path) -> None:
    run_demo(folder, guard=True)
    assert list((folder / "home").rglob("*")) == []  # such as .cache/Microsoft, where onnxruntime would count its uses


def test_the_guard_guards_workers_too(folder: Path) -> None:
    worker = ("import multiprocessing as m, socket\nif __name__ == '__main__':\n"
              "    m.get_context('spawn').Pool(1).apply(socket.getaddrinfo, ('localhost', 80))")
    for script in (CONNECT, worker):
        assert "network: socket.getaddrinfo" in python(folder, script).stderr


@pytest.fixture
def strace(folder: Path) -> tuple[str, ...]:
    if not shutil.which("strace") or python(folder, "", guard=False, before=STRACE).returncode:
        pytest.skip("strace is not installed, or not allowed here")
    return STRACE


@pytest.mark.skipif(find_spec("tokenizers") is None, reason="tokenizers is not installed")
def test_a_foreign_text_encoder_uses_no_network_and_leaves_nothing_in_the_home(folder: Path) -> None:
    """tokenizers brings a hub client with it."""
    words = write_words(folder / "words", "hugging-face")
    paths = [str(Path(find_spec("tokenizers").origin).parents[1])]  # where it is installed, which may be elsewhere
    script = f"import sys; sys.path += {paths}; {CLDM}"
    done = python(folder, script, "words", "--words", words, "lumenward")
    assert done.returncode == 0 and "taken for 'subendocardial'" in done.stdout, done.stdout + done.stderr
    assert list((folder / "home").rglob("*")) == []


def test_native_code_uses_no_network_either(folder: Path, strace: tuple[str, ...]) -> None:
    python(folder, CONNECT, guard=False, before=strace)
    assert "AF_INET" in (folder / "calls").read_text()  # strace sees what there is
    calls = run_demo(folder, guard=False, before=strace)
    assert "exited with 0" in calls and "AF_INET" not in calls and "AF_NETLINK" not in calls
