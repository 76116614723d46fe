"""Slurm on this machine alone, for tests: a controller and one node, begun by hand in a folder of their own.

    python tests/reliability/slurm_node.py --install         # installs what it needs: apt-get, as root
    python tests/reliability/slurm_node.py /tmp/slurm        # prints the path of its slurm.conf; ends with its input

Whatever it writes, munge's key and socket too, is in the folder, and it takes free ports: a Slurm that this machine
belongs to is left alone. sbatch and the like speak to it where SLURM_CONF is that path. Its jobs and daemons end with
it, also where whoever started it was killed. Ends with 3, and says why, where there can be none.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
CANNOT_BE = 3  # exit status
_PATIENCE_S = 20.0
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])  # where Debian puts daemons
# CPUs: more than there are, where config_overrides. A job that is requeued waits for cred_expire, 2 minutes by default.
_CONFIGURATION = """\
ClusterName=cldm
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2
KillWait=1
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus}
PartitionName=all Nodes=ALL Default=YES
"""


def why_not() -> str | None:
    """What keeps Slurm from being begun here; None: nothing."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"{', '.join(missing)}: not installed. Run as root: python tests/reliability/slurm_node.py --install"
    return None if os.geteuid() == 0 else "slurmd is begun by root alone. Run this as root, in a container for example."


@contextmanager
def slurm_node(folder: Path, cpus: int) -> Iterator[Path]:
    """Slurm with a node of so many CPUs, however many there are; its slurm.conf."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host, configuration, key = socket.gethostname().split(".")[0], folder / "slurm.conf", folder / "munge.key"
    configuration.write_text(_CONFIGURATION.format(folder=folder, host=host, cpus=cpus, ports=_free_ports(2)))
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "log", "pid", "seed")]
    environment = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(configuration)}

    def told(*command: str) -> str:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()

    def end_jobs() -> None:
        told("scancel", "--user=root")
        _wait(lambda: not told("squeue", "--noheader"), "jobs do not end")

    with ExitStack() as stack:
        # By force: munge wants its socket where every user may come, and a test's folder is its user's alone.
        munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files]
        for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D"]):
            stack.enter_context(_daemon(command, environment, folder / f"{command[0]}.out"))
        _wait(lambda: told("sinfo", "--noheader", "--format=%T") == "idle", f"no node is ready; see {folder}/*.log")
        stack.callback(end_jobs)
        yield configuration


@contextmanager
def _daemon(command: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """In a session of its own, so that Ctrl-C ends it only in its turn."""
    with log.open("wb") as out, subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                                 stderr=out, start_new_session=True) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(ready: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"slurm: {otherwise}.")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="an empty or a new one")
    parser.add_argument("--cpus", type=int, default=4, help="that the node has, for Slurm")
    parser.add_argument("--install", action="store_true")
    given = parser.parse_args()
    if given.install:
        subprocess.run(["apt-get", "update"], check=True)
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES], check=True)
    if reason := why_not():
        print(reason, file=sys.stderr)
        return CANNOT_BE
    if given.folder is not None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with slurm_node(given.folder.resolve(), given.cpus) as configuration:
            print(configuration, flush=True)
            sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
