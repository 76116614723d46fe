"""examples/container for real: the image is built as docs/embedding.md says, without registries, and run by run.sh."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from container_engine import USER, Engine

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "examples" / "container"
N = "8"
# Prints what an intruder would want: each line is empty, or what was possible.
PROBE = """\
import os, socket
memory = [line.split()[1] for line in open('/proc/mounts') if line.split()[2] == 'tmpfs']  # ends with the container
for path in ('/', '/opt/cldm', '/bundle', '/etc', '/var', '/out', '/tmp', '/dev/shm'):
    if path in memory: continue
    try:
        open(path + '/probe', 'w').close()
        print('wrote', path)
    except OSError: pass
print(*(name for _, name in socket.if_nameindex()))
print(os.getuid(), os.getgid(), next(line for line in open('/proc/self/status') if line.startswith('CapBnd')))
"""
pytestmark = pytest.mark.long  # minutes; test_runtime_alone.py does the same steps without an image


def documented(first: str, wheels: Path) -> str:
    """The block of commands in docs/embedding.md that begins with `first`; the wheels go to `wheels`."""
    (block,) = re.findall(rf"```\n({re.escape(first)}.*?)```", (ROOT / "docs" / "embedding.md").read_text(), re.DOTALL)
    return str(block).replace("/tmp/wheels", str(wheels))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """With the images of docs/embedding.md: `cldm-base` and `cldm`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    engine = Engine(folder, os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
    try:
        base, *build = documented("sh examples/container/debian_base.sh", folder / "wheels").splitlines()
        made = engine.run(*base.split())
        if made.returncode:
            pytest.skip(f"no base image of Debian's packages can be made here: {made.stderr.strip()}")
        engine.start("localhost/cldm-base")
        built = engine.run("sh", "-ec", "\n".join(build))
        assert built.returncode == 0, built.stdout + built.stderr
        yield engine
    finally:
        engine.close()
        shutil.rmtree(folder, ignore_errors=True)


def run_image(engine: Engine, out: Path, **variables: str) -> str:
    """What run.sh prints; the results are in `out`."""
    out.mkdir()
    if os.geteuid() == 0:
        os.chown(out, *map(int, USER.split(":")))
    done = engine.run("sh", CONTAINER / "run.sh", out, N, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_files_are_those_of_a_plain_run_byte_for_byte(engine: Engine, tmp_path: Path) -> None:
    run_image(engine, tmp_path / "contained")
    (tmp_path / "plain").mkdir()
    plain = {"BUNDLES": str(ROOT / "exported"), "OUT": str(tmp_path / "plain")}
    subprocess.run(["sh", CONTAINER / "pipeline.sh", N, ROOT / "examples" / "grid.csv"], check=True,
                   env={**engine.environment, **plain})
    contained, plain_files = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
                              for name in ("contained", "plain"))
    assert contained == plain_files and len(contained["samples.h5"]) > 100_000


def test_inside_there_is_no_network_no_privilege_and_one_folder_to_write_to(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "probe").write_text(PROBE)
    (tmp_path / "Containerfile").write_text('FROM localhost/cldm\nCOPY probe /probe\nENTRYPOINT ["python", "/probe"]\n')
    built = engine.run("podman", "build", "--tag", "probe", tmp_path)
    assert built.returncode == 0, built.stderr
    user = USER if os.geteuid() == 0 else f"{os.getuid()}:{os.getgid()}"
    seen = run_image(engine, tmp_path / "out", IMAGE="localhost/probe").split()
    assert seen == ["wrote", "/out", "lo", *user.split(":"), "CapBnd:", "0" * 16]
