"""What a generator costs: multiply-adds and seconds of an image, and of the denoiser's training."""

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cldm_runtime.bench.work import BundleNetworks, bundle_flops, sampling_facts
from cldm_runtime.engines.processor import available_cores
from cldm_runtime.generation.generator import Generator

Json = dict[str, Any]
STAGES = ("diffusion", "distil", "finish", "gan")  # those that train what draws the images
_FLOPS = 2e9  # operations of a GMAC
_TRAINING = 3  # a training step costs as much as three evaluations: forward, and twice that backward
_TRIES = 2


def cost(generator: Generator, runs: Path) -> Json:
    """gmac: of one image. images_per_second: of batches of the bundle's size on all cores of this machine, the best of
    two. training: of the denoiser alone. runs: folder of the runs, whose logs know the seconds of training."""
    facts = sampling_facts(generator.bundle, generator.sampling)
    flops = facts["gflop_per_image"]
    return {"gmac": None if flops is None else flops / 2, "steps": facts["steps"], "sampler": facts["sampler"],
            "images_per_second": _speed(generator), "cores": available_cores(), "training": training(generator, runs)}


def _speed(generator: Generator) -> float:
    networks = BundleNetworks(str(generator.bundle.path))
    networks.prepare(generator.sampling.batch_size)
    seconds = []
    for _ in range(_TRIES):
        started = time.monotonic()
        count = networks.complete()
        seconds.append(time.monotonic() - started)
    return count / min(seconds)


def training(generator: Generator, runs: Path) -> Json:
    """steps, images, gmac, and seconds where the run's log still exists; values that nothing states are None."""
    provenance = generator.manifest.provenance
    config: Mapping[str, Any] = provenance.get("config") or {}
    stages = {stage: int(steps) for stage, steps in (provenance.get("steps") or {}).items()
              if stage.split()[0] in STAGES}
    images = {stage: steps * _batch(config, stage) for stage, steps in stages.items()}
    flops = bundle_flops(generator.bundle)["denoiser"]
    known = bool(images) and flops is not None and all(images.values())
    total = sum(images.values()) if known else None
    run = str((config.get("run") or {}).get("name", ""))
    seconds = [_logged_seconds(runs / run / stage / "log.csv") for stage in stages] if run else []
    return {"steps": sum(stages.values()) or None, "images": total,
            "gmac": None if total is None or flops is None else _TRAINING * total * flops / _FLOPS,
            "seconds": sum(filter(None, seconds)) if seconds and None not in seconds else None}


def _batch(config: Mapping[str, Any], stage: str) -> int:
    section = config.get(stage.split()[0])
    return int(section.get("optimiser", {}).get("batch_size", 0)) if isinstance(section, Mapping) else 0


def _logged_seconds(log: Path) -> float | None:
    """Seconds of all steps at the pace of the log's last line; None without a log."""
    if not log.is_file():
        return None
    with log.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return float(rows[-1]["step"]) * float(rows[-1]["seconds_per_step"]) if rows else None
