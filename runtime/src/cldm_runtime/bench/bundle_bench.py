"""The contenders of one generator bundle: its networks, and the whole path to images in memory and to a file."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..bundle.bundle import Bundle
from ..errors import BundleError
from .contest import Contender, ContestOptions, Progress, Say, run_contest
from .machine import PRODUCT_SIZE, machine, versions
from .remote import Remote
from .rows import Json, SharedFacts, make_rows

NETWORKS = "cldm_runtime.bench.work:BundleNetworks"
WHOLE_PATH = "cldm_runtime.bench.work:WholePath"
PACKAGES = ("cldm-runtime", "numpy", "scipy", "onnxruntime", "onnxruntime-gpu", "openvino", "h5py")
LONG_LOOP = 200  # from this number of steps on, a few of them are timed instead of all


@dataclass(frozen=True)
class Sampling:
    """Sampling settings of a bundle; None: the bundle's default."""

    sampler: str | None = None
    steps: int | None = None
    guidance: float | None = None

    def arguments(self) -> dict[str, Any]:
        return {"sampler": self.sampler, "steps": self.steps, "guidance": self.guidance}


def networks_contender(title: str, bundle: Path, sampling: Sampling, options: ContestOptions, provider: str = "cpu",
                       seed: int = 0) -> Contender:
    """The bundle's networks at one setting. Raises BundleError for a bundle that cannot generate."""
    default = Bundle.load(bundle).manifest.sampling
    if default is None:
        raise BundleError(f"bundle {bundle}: expected a generator, which has sampling defaults.")
    sampler, steps = sampling.sampler or default.sampler, sampling.steps or default.steps
    arguments = {"bundle": str(bundle), "provider": provider, "threads": options.threads, "seed": seed,
                 **sampling.arguments()}
    return Contender(f"{title}, {sampler} {steps}", "networks", NETWORKS, arguments, {"provider": provider},
                     extrapolate=steps >= LONG_LOOP)


def path_contenders(like: Contender) -> list[Contender]:
    """From requests to images in memory and to a file, at the setting and batch size of a contender of networks."""
    return [Contender(f"{like.name}, requests to {target}", f"requests to {target}", WHOLE_PATH,
                      {**like.arguments, "to_file": to_file}, like.describes, batch_of=like.name)
            for target, to_file in (("memory", False), ("file", True))]


def cpp_contender(like: Contender, program: Path, title: str) -> Contender:
    """The same networks at the same setting, run by the C++ program cldm-cpp. title: the title of `like`."""
    return replace(like, name=f"{title} in C++{like.name.removeprefix(title)}", program=str(program))


def bench_bundle(bundle: Path, samplings: Sequence[Sampling], providers: Sequence[str], options: ContestOptions,
                 command: str, seed: int = 0, say: Say = lambda text: None, log: Path | None = None,
                 cpp: Path | None = None, progress: Progress = lambda done, total: None) -> list[Json]:
    """Rows of a bundle's networks at every setting on every provider, and of the whole path at the first setting.

    cpp: the program cldm-cpp, which is then timed with the same networks.
    """
    title = Bundle.load(bundle).manifest.name
    contenders = []
    for provider in providers:
        name = f"{title} on {provider}" if len(providers) > 1 else title
        chosen = [networks_contender(name, bundle, sampling, options, provider, seed) for sampling in samplings]
        rivals = [] if cpp is None else [cpp_contender(like, cpp, name) for like in chosen]
        contenders += [*chosen, *rivals, *path_contenders(chosen[0])]
    return time_contenders(contenders, options, command, seed, PACKAGES, say, log, progress=progress)


def time_contenders(contenders: Sequence[Contender], options: ContestOptions, command: str, seed: int,
                    packages: Sequence[str], say: Say, log: Path | None = None,
                    product_size: int = PRODUCT_SIZE, progress: Progress = lambda done, total: None) -> list[Json]:
    """Time contenders against each other on this machine; one row each."""
    def start(program: str = "") -> Remote:
        return Remote(options.threads, log, (program, "child")) if program else Remote(options.threads, log)

    def product() -> float:
        with start() as process:
            return process.product(product_size)

    setting = SharedFacts(machine(), versions(packages), options.threads, seed,
                      datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), command)
    return make_rows(run_contest(contenders, options, start, product, say, progress=progress), setting)
