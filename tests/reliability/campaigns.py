"""Runs that are killed, done twice, or fill the disk, many times over: nothing may be lost, doubled or half written.

    python tests/reliability/campaigns.py generate --times 1000      # kill -9 at random moments, resume, compare
    python tests/reliability/campaigns.py evaluate --times 1000
    python tests/reliability/campaigns.py twice --times 200          # one shard by two processes at once
    python tests/reliability/campaigns.py disk --times 100           # no file may grow beyond a random size
    python tests/reliability/campaigns.py readonly --times 20        # a folder that cannot be written
    python tests/reliability/campaigns.py clock --times 200          # kill -9 under a clock that jumps by years

Each attempt is a forked child of a process in which no network was ever opened. The networks are tiny; files, parts,
merging and segmentations are the real ones. Ends with 1, and says what it found, where a file was not as it should be.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import h5py
import numpy as np

import onnx_fixtures
from cldm_runtime import Generator, Segmenter, open_dataset
from cldm_runtime.errors import CldmError
from cldm_runtime.evaluation.run import evaluate_dataset
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import generate_dataset, generate_shard, merge_shards, parts_folder
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.runs.shards import Shard
from cldm_runtime.store import check_samples

SAMPLES = 96
_UNFORESEEN = 99  # exit status of a child that raised what no user should see
Work = Callable[[], None]


class Campaign:
    """A folder with tiny bundles, and children that work in it. `counts`: what happened, by name; any `wrong ...` is a
    defect."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.digest: Callable[[], str] = self.bytes_digest
        self.folder, self.random, self.counts = folder, random.Random(seed), Counter[str]()
        self.bundle = onnx_fixtures.make_generator(folder / "generator")
        self.segmenter = onnx_fixtures.make_segmenter(folder / "segmenter")
        self.out = folder / "samples.h5"

    def plan(self) -> Plan:
        model = Generator.load(self.bundle, threads=1)
        grid = grid_from_mapping({"infarct_size": [0.1, 0.2, 0.3]}, model.domain)
        return Plan(model, GridRequests.spread(grid, SAMPLES, model.canvas), SAMPLES, 3, model.settings())

    def generate(self) -> None:
        generate_dataset(self.plan(), self.out, "resume")

    def evaluate(self) -> None:
        evaluate_dataset(self.out, Segmenter.load(self.segmenter, threads=1))

    def attempt(self, work: Work, seconds: float | None = None) -> int | None:
        """Do the work in a child, killed after so many seconds; its exit status, or None where it was killed."""
        child = self.start(work)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)  # harmless where it has ended: it is still to be waited for
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else None

    def start(self, work: Work) -> int:
        """Begin the work in a child."""
        child = os.fork()
        if child:
            return child
        code = _UNFORESEEN
        try:
            work()
            code = 0
        except CldmError as error:
            code = error.exit_code
            print(error, file=sys.stderr)
        except BaseException as error:
            print(f"unforeseen: {type(error).__name__}: {error}", file=sys.stderr)
        finally:  # whatever happens, such as a full disk for what is said: the rest is the parent's
            os._exit(code)

    def seconds(self, work: Work, before: Work) -> float:
        """How long the whole work takes: the longest of three."""
        found = []
        for _ in range(3):
            before()
            begun = time.perf_counter()
            assert self.attempt(work) == 0
            found.append(time.perf_counter() - begun)
        return max(found)

    def bytes_digest(self) -> str:
        return hashlib.sha256(self.out.read_bytes()).hexdigest()

    def content_digest(self) -> str:
        """Of every name, attribute and number. Measuring again, as a run does that was killed after its file had been
        put in place, gives the same content in another order of bytes."""
        digest = hashlib.sha256()

        def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
            attributes = sorted((key, np.asarray(value).tolist()) for key, value in item.attrs.items())
            digest.update(repr((name, attributes)).encode())
            if isinstance(item, h5py.Dataset):
                digest.update(np.asarray(item[...]).tobytes())

        with h5py.File(self.out) as file:
            names = list[str]()
            file.visit(names.append)
            add("/", file)
            for name in sorted(names):
                add(name, file[name])
        return digest.hexdigest()

    def clear(self) -> None:
        for path in self.folder.glob("samples.h5*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def refused_without_rights(self, work: Work) -> None:
        """Do the work as somebody who may read the folder and not write it."""
        os.chmod(self.folder, 0o555)

        def without_rights() -> None:
            if os.getuid() == 0:  # whom no mode stops
                os.setuid(65534)
            work()

        before = sorted(path.name for path in self.folder.iterdir())
        status = self.attempt(without_rights)
        os.chmod(self.folder, 0o755)
        self.counts["one message" if status == 4 else f"wrong: exit {status} in a read-only folder"] += 1
        if sorted(path.name for path in self.folder.iterdir()) != before:
            self.counts["wrong: something was written"] += 1

    def check_whole(self, what: str) -> None:
        """A file that has its name must hold every sample once, as it was written."""
        if not self.out.exists():
            return
        try:
            with open_dataset(self.out) as dataset:
                if check_samples(dataset, range(SAMPLES)):
                    self.counts[f"wrong: {what}: samples lost, doubled or damaged"] += 1
        except CldmError as error:
            self.counts[f"wrong: {what}: {error}"] += 1

    def killed(self, times: int, work: Work, before: Work, expected: str) -> None:
        """Kill the work so many times, at random moments; after each run that ends well, compare and begin anew."""
        longest = self.seconds(work, before)
        before()
        while self.counts["killed"] < times:
            status = self.attempt(work, self.random.uniform(0, 1.1 * longest))
            self.check_whole("after a kill")
            if status is None:
                self.counts["killed"] += 1
            elif status:
                self.counts[f"wrong: exit {status}"] += 1
                before()
            else:
                self._finished(expected)
                before()
        if self.attempt(work) == 0:
            self._finished(expected)

    def _finished(self, expected: str) -> None:
        self.counts["finished"] += 1
        if self.digest() != expected:
            self.counts["wrong: the content differs from an uninterrupted run"] += 1
        if list(self.folder.glob("*.partial")) or parts_folder(self.out).exists():
            self.counts["wrong: something was left behind"] += 1


def generate(campaign: Campaign, times: int) -> None:
    assert campaign.attempt(campaign.generate) == 0
    campaign.killed(times, campaign.generate, campaign.clear, campaign.digest())


def evaluate(campaign: Campaign, times: int) -> None:
    assert campaign.attempt(campaign.generate) == 0
    fresh = campaign.out.read_bytes()

    def before() -> None:
        campaign.clear()
        campaign.out.write_bytes(fresh)

    campaign.digest = campaign.content_digest
    assert campaign.attempt(campaign.evaluate) == 0
    campaign.killed(times, campaign.evaluate, before, campaign.digest())


def twice(campaign: Campaign, times: int) -> None:
    """The same shard by two processes that start at once, and then the merge."""
    assert campaign.attempt(campaign.generate) == 0
    expected = campaign.digest()
    for _ in range(times):
        campaign.clear()
        pair = [campaign.start(lambda: generate_shard(campaign.plan(), campaign.out, Shard(0, 1)) and None)
                for _ in range(2)]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in pair]
        if statuses != [0, 0]:
            campaign.counts[f"wrong: exits {statuses}"] += 1
        if campaign.attempt(lambda: merge_shards(campaign.plan(), campaign.out) and None) != 0:
            campaign.counts["wrong: the merge failed"] += 1
            continue
        campaign.counts["done twice"] += 1
        campaign._finished(expected)


def disk(campaign: Campaign, times: int) -> None:
    """Files that may not grow beyond a random size, in generating and in evaluating by turns; then a resume without the
    limit."""
    assert campaign.attempt(campaign.generate) == 0
    fresh, generated = campaign.out.read_bytes(), campaign.digest()
    assert campaign.attempt(campaign.evaluate) == 0
    evaluated, sizes = campaign.digest(), (len(fresh), campaign.out.stat().st_size)
    for number in range(times):
        campaign.clear()
        if number % 2:
            campaign.out.write_bytes(fresh)
        work = campaign.evaluate if number % 2 else campaign.generate
        limit = campaign.random.randrange(sizes[number % 2])

        def limited(limit: int = limit, work: Work = work) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            work()

        status = campaign.attempt(limited)
        campaign.check_whole("with a full disk")
        campaign.counts["one message" if status == 4 else f"wrong: exit {status} with a full disk"] += 1
        if campaign.attempt(work) == 0:
            campaign._finished(evaluated if number % 2 else generated)
        else:
            campaign.counts["wrong: not resumable"] += 1


def readonly(campaign: Campaign, times: int) -> None:
    """A folder that cannot be written, empty or with half a run, and with a file to be evaluated; then it can be."""
    longest = campaign.seconds(campaign.generate, campaign.clear)
    expected = campaign.digest()
    fresh = campaign.out.read_bytes()
    assert campaign.attempt(campaign.evaluate) == 0
    evaluated = campaign.content_digest()
    for number in range(times):
        campaign.clear()
        if number % 2:
            campaign.attempt(campaign.generate, campaign.random.uniform(0, longest))
            campaign.out.unlink(missing_ok=True)  # of a run that was faster
        campaign.refused_without_rights(campaign.generate)
        if campaign.attempt(campaign.generate) == 0:
            campaign._finished(expected)
        campaign.refused_without_rights(campaign.evaluate)
        if campaign.out.read_bytes() != fresh:
            campaign.counts["wrong: the file was altered"] += 1
        if campaign.attempt(campaign.evaluate) != 0 or campaign.content_digest() != evaluated:
            campaign.counts["wrong: the evaluation differs"] += 1


def clock(campaign: Campaign, times: int) -> None:
    """`generate` and `evaluate` in a process that a jumping clock is loaded into."""
    library = campaign.folder / "jumping_clock.so"
    source = Path(__file__).with_name("jumping_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    preloaded = {**os.environ, "LD_PRELOAD": str(library)}
    jumps = subprocess.run([sys.executable, "-c", "import time; print(abs(time.time() - time.time()))"], env=preloaded,
                           capture_output=True, text=True, check=True)
    assert float(jumps.stdout) > 1e6, "the clock does not jump"
    for name in ("generate", "evaluate"):
        command = [sys.executable, __file__, name, "--times", str(-(-times // 2))]
        done = subprocess.run(command, env=preloaded, capture_output=True, text=True, check=False)
        sys.stderr.write(done.stderr)
        counts = json.loads(done.stdout.splitlines()[-1])
        campaign.counts.update({key: value for key, value in counts.items() if key not in ("campaign", "seconds")})


CAMPAIGNS = {"generate": generate, "evaluate": evaluate, "twice": twice, "disk": disk, "readonly": readonly,
             "clock": clock}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaign", choices=CAMPAIGNS)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), given.seed)
        CAMPAIGNS[given.campaign](campaign, given.times)
    print(json.dumps({"campaign": given.campaign, **campaign.counts, "seconds": round(time.perf_counter() - begun)}))
    return int(any(name.startswith("wrong") for name in campaign.counts))


if __name__ == "__main__":
    sys.exit(main())
