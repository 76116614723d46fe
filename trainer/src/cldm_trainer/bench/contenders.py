"""Who takes part: this project's bundles, MONAI's inferer, loops with diffusers' schedulers, and the segmenters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cldm_runtime.bench.bundle_bench import LONG_LOOP, Sampling, networks_contender, path_contenders
from cldm_runtime.bench.contest import Contender, ContestOptions
from cldm_runtime.errors import InputError

from ..config import Config

MONAI = "cldm_trainer.bench.monai_inferer:MonaiInferer"
DIFFUSERS = "cldm_trainer.bench.diffusers_loop:DiffusersLoop"
NNUNET = "cldm_trainer.bench.nnunet_predictor:NnunetPredictor"
SEGMENTING = "cldm_runtime.bench.work:Segmenting"
SUBSET = "test"


@dataclass(frozen=True)
class Entry:
    """A contender. quality_of: the bundle and the sampling whose images its own are like, or why there are none.
    labels: where a segmenter's label maps go, and those that they are compared with."""

    contender: Contender
    quality_of: tuple[Path, Sampling] | None = None
    reason: str | None = None
    labels: tuple[Path, Path] | None = None


def read_sampling(text: str) -> Sampling:
    """ "ddim 8" -> sampler and steps. Raises InputError."""
    parts = text.split()
    if len(parts) != 2 or not re.fullmatch("[0-9]{1,9}", parts[1]) or int(parts[1]) < 1:
        raise InputError(f"bench: sampling {text!r}, expected a sampler and its steps, such as \"ddim 8\".")
    return Sampling(parts[0], int(parts[1]))


def bundles(config: Config) -> dict[str, Path]:
    """Name -> folder of the bundles that take part."""
    named = config.bench.bundles or {Path(config.export.generator).name: config.export.generator}
    return {name: Path(folder) for name, folder in named.items()}


def many_steps(config: Config) -> str:
    """The bundle that is sampled in many ways. Raises InputError for one that is not named."""
    named = bundles(config)
    chosen = config.bench.many_steps or list(named)[-1]
    if chosen not in named:
        raise InputError(f"bench.many_steps: {chosen!r} is not in bench.bundles: {', '.join(named)}.")
    return chosen


def all_entries(config: Config, config_path: Path, options: ContestOptions, folder: Path) -> list[Entry]:
    """Every contender of a configuration, in the order of the table. folder: for the segmenters' label maps."""
    return [*bundle_entries(config, options), *diffusers_entries(config, config_path, options),
            *monai_entries(config, options), *segmenter_entries(config, config_path, options, folder)]


def bundle_entries(config: Config, options: ContestOptions) -> list[Entry]:
    """Every bundle at its own setting on every provider, with the whole path; the bundle of many steps at every other
    setting too. Quality is measured on the CPU for every provider."""
    entries: list[Entry] = []
    for name, bundle in bundles(config).items():
        taken = set()
        for provider in config.bench.providers:
            title = name if provider == "cpu" else f"{name} on {provider}"
            own = networks_contender(title, bundle, Sampling(), options, provider, config.run.seed)
            entries += [Entry(contender, (bundle, Sampling())) for contender in (own, *path_contenders(own))]
            taken.add(own.name)
        others = config.bench.samplings if name == many_steps(config) else ()
        for text in others:
            sampling = read_sampling(text)
            contender = networks_contender(name, bundle, sampling, options, seed=config.run.seed)
            if contender.name not in taken:
                entries.append(Entry(contender, (bundle, sampling)))
    return entries


def diffusers_entries(config: Config, config_path: Path, options: ContestOptions) -> list[Entry]:
    """Loops around the same networks in torch, plain and compiled."""
    name, entries = many_steps(config), []
    bundle = bundles(config)[name]
    for compiled in (False, True):
        for sampling in map(read_sampling, config.bench.torch_samplings):
            how = "compiled" if compiled else "eager"
            arguments = {"config": str(config_path), "bundle": str(bundle), "sampler": sampling.sampler,
                         "steps": sampling.steps, "threads": options.threads, "compiled": compiled,
                         "seed": config.run.seed}
            title = f"diffusers around {name}, torch {how}, {sampling.sampler} {sampling.steps}"
            entries.append(Entry(Contender(title, "networks", DIFFUSERS, arguments, {"provider": f"torch {how}"}),
                                 (bundle, sampling)))
    return entries


def monai_entries(config: Config, options: ContestOptions) -> list[Entry]:
    """MONAI's inferer with the paper's networks. A long loop is timed by some of its steps, and once in full."""
    entries = []
    for sampling in map(read_sampling, config.bench.monai_samplings):
        assert sampling.steps is not None  # read_sampling gives them
        long = sampling.steps >= LONG_LOOP
        arguments = {"paper": config.bench.paper, "sampler": sampling.sampler, "steps": sampling.steps,
                     "threads": options.threads, "seed": config.run.seed}
        title = f"MONAI LatentDiffusionInferer, the paper's networks, {sampling.sampler} {sampling.steps}"
        entries.append(Entry(Contender(title, "networks", MONAI, arguments, {"provider": "torch eager"},
                                       extrapolate=long, check=long),
                             reason="untrained networks of the paper's size"))
    return entries


def segmenter_entries(config: Config, config_path: Path, options: ContestOptions, folder: Path) -> list[Entry]:
    """This project's segmenter and nnU-Net's predictor with the same weights, with and without mirrored copies."""
    shared = {"bundle": config.export.segmenter, "dataset": str(config.cohort_file), "subset": SUBSET,
              "slices": config.bench.segmenter_slices, "threads": options.threads}
    entries = []
    for mirror in (True, False):
        how = "4 mirrored copies" if mirror else "no mirroring"
        ours, theirs = (folder / f"{whose}-{'mirrored' if mirror else 'plain'}.npy" for whose in ("ours", "nnunet"))
        runtime = Contender(f"segmenter, {how}", "segmenter", SEGMENTING,
                            {**shared, "mirror": mirror, "labels": str(ours)}, {"provider": "cpu"})
        nnunet = Contender(f"nnUNetPredictor, {how}", "segmenter", NNUNET,
                           {**shared, "mirror": mirror, "labels": str(theirs), "config": str(config_path)},
                           {"provider": "torch eager"}, batches=(1,))
        entries += [Entry(runtime, labels=(ours, theirs)), Entry(nnunet, reason="what the others are compared with")]
    return entries


def contenders(entries: Sequence[Entry]) -> list[Contender]:
    return [entry.contender for entry in entries]
