"""`bench/gpu.sh`: tests, parity, throughput and a large run on a machine with a GPU, in one run of some minutes.

It needs only torch or onnxruntime, numpy, h5py and scipy, so it does not use click. A missing engine is named with the
reason. A step that fails is reported, and the other steps go on.
"""

import argparse
import datetime
import importlib.util
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..bundle.bundle import Bundle
from ..engines.choose import Choice
from ..engines.engine import CPU_PROVIDERS, OFFERED, PROVIDERS
from ..engines.open import open_graph
from ..engines.processor import default_workers
from ..errors import BundleError, CldmError, ProviderError
from ..files.numbers import finite_number, whole_number
from ..generation.generator import Generator
from ..generation.run import Plan, generate_dataset
from ..requests.grid import read_grid
from ..requests.sources import GridRequests
from ..segmentation.segmenter import Segmenter
from ..store import open_dataset
from ..verification.compare import Yardstick
from ..verification.text import as_table
from .contest import Contest
from .gpu_speed import name_of, product_gflops, stage_seconds, timed_networks
from .machine import gpus, machine, versions
from .rows import SharedFacts, append_rows, make_rows, read_rows, speed_table

BATCHES = (1, 64, 512)
_PACKAGES = ("torch", "onnxruntime-gpu", "onnxruntime", "tensorrt", "numpy", "h5py", "scipy")
_TESTS = "tests/runtime/engines/test_cuda.py"
_SAMPLES = 64  # of the parity table
_SECONDS = 3.0  # of one turn


@dataclass(frozen=True)
class GpuOptions:
    bundle: Path
    segmenter: Path
    grid: Path
    out: Path
    choices: tuple[Choice, ...]
    batches: tuple[int, ...]
    images: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every step succeeded, else 1. Bad arguments exit with 2."""
    options, dry = _parse(arguments)
    here, missing = _sorted_out(options)
    for choice, reason in missing:
        print(f"not measured here: {name_of(choice)}: {reason}")
    print(f"measured here: {', '.join(map(name_of, here)) or 'nothing'}")
    if dry:
        print(f"would run {_TESTS}; compare {_SAMPLES} samples; time batches of "
              f"{', '.join(map(str, options.batches))}; generate {options.images} images from {options.grid} with the "
              f"fastest; write to {options.out}")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("tests", _run_tests), ("parity", lambda: _parity(options, here)),
        ("throughput", lambda: _throughput(options, here)), ("run", lambda: _run(options, here)))
    failed = [name for name, step in steps if not _done(name, step, options.out)]
    return 1 if failed else 0


def _parse(arguments: Sequence[str] | None) -> tuple[GpuOptions, bool]:
    parser = argparse.ArgumentParser(prog="bench/gpu.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    gpu = [name for name in PROVIDERS if name not in CPU_PROVIDERS]
    parser.add_argument("--bundle", type=Path, default=Path("exported/lge"), help="generator; default: %(default)s")
    parser.add_argument("--segmenter", type=Path, default=Path("exported/lge-segmenter"), help="default: %(default)s")
    parser.add_argument("--attributes", type=Path, default=Path("examples/grid.csv"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("out/gpu"), help="folder; default: %(default)s")
    parser.add_argument("--provider", action="append", choices=PROVIDERS, help=f"default: {', '.join(gpu)}")
    parser.add_argument("--batch-size", action="append", type=whole_number, help="default: 1, 64 and 512")
    parser.add_argument("--images", type=whole_number, default=100_000, help="of the large run; default: %(default)s")
    parser.add_argument("--seconds", type=finite_number, default=_SECONDS,
                        help="of each of three turns; default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and what is missing")
    parsed = parser.parse_args(arguments)
    choices = tuple(Choice(name, name, precision) for name in parsed.provider or gpu for precision in OFFERED[name])
    return GpuOptions(parsed.bundle, parsed.segmenter, parsed.attributes, parsed.out, choices,
                   tuple(parsed.batch_size or BATCHES), parsed.images, parsed.seconds), parsed.dry_run


def _sorted_out(options: GpuOptions) -> tuple[list[Choice], list[tuple[Choice, str]]]:
    """The engines that are available here, and the others with the reason."""
    here, missing, bundle = [], [], Bundle.load(options.bundle)
    for choice in options.choices:
        try:
            open_graph(bundle, "decoder", choice.provider, precision=choice.precision)
            here.append(choice)
        except (ProviderError, BundleError) as error:
            missing.append((choice, str(error)))
    return here, missing


def _done(name: str, step: Callable[[], str], out: Path) -> bool:
    """Run a step; print and write its text, or its error. Returns whether it succeeded."""
    started = time.perf_counter()
    print(f"\n== {name}", flush=True)
    try:
        text, passed = step(), True
    except CldmError as error:
        text, passed = f"failed: {error}", False
    except Exception:  # GPU time is scarce: run the other steps all the same
        text, passed = f"failed:\n{traceback.format_exc()}", False
    (out / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    print(f"{text}\n({name}: {time.perf_counter() - started:.0f} s)", flush=True)
    return passed


def _run_tests() -> str:
    if importlib.util.find_spec("pytest") is None or not Path(_TESTS).exists():
        return f"{_TESTS}: not run, because pytest is not installed; the parity table compares the engines too"
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rs", _TESTS], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise ProviderError(f"{_TESTS}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return done.stdout[-4000:]


def _parity(options: GpuOptions, here: Sequence[Choice]) -> str:
    segmenter = Segmenter.load(options.segmenter)
    yardstick = Yardstick(Bundle.load(options.bundle), segmenter, _SAMPLES)
    return as_table([yardstick.report(choice) for choice in here]) if here else "nothing to compare"


def _throughput(options: GpuOptions, here: Sequence[Choice]) -> str:
    bundle, seconds = options.bundle, options.seconds
    timed = [timed_networks(bundle, choice, batch, seconds) for choice in here for batch in options.batches]
    timed += [timed_networks(bundle, choice, batch, seconds, graphs=False) for choice in here
              for batch in options.batches if choice.provider not in CPU_PROVIDERS and choice.precision == "fp32"]
    product = product_gflops()
    setting = SharedFacts(_machine(), versions(_PACKAGES), default_workers("cpu"), 0,
                      datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "bench/gpu.sh")
    rows = make_rows(Contest(timed, [product]), setting)
    append_rows(options.out / "throughput.jsonl", rows)
    return f"{speed_table(rows)}\n\n4096 x 4096 matrix product in fp32: {product:.0f} GFLOP/s"


def _run(options: GpuOptions, here: Sequence[Choice]) -> str:
    """The large run with the provider that was fastest, and where its time goes."""
    choice, batch = _fastest(options, here)
    generator = Generator.load(options.bundle, choice.provider, precision=choice.precision)
    settings = replace(generator.sampling, batch_size=batch)
    source = GridRequests.spread(read_grid(options.grid, generator.domain), options.images, generator.canvas)
    plan, workers = Plan(generator, source, options.images, 0, settings), default_workers(choice.provider)
    target = options.out / "images.h5"
    started = time.perf_counter()
    generate_dataset(plan, target, "overwrite", workers=workers)
    seconds = time.perf_counter() - started
    with open_dataset(target) as dataset:
        count, gigabytes = len(dataset), target.stat().st_size / 1e9
    target.unlink()
    stages = stage_seconds(generator, min(batch, options.images))
    lines = [f"{count} images with {name_of(choice)}, batch {batch}, {workers} workers: {seconds:.1f} s, "
             f"{count / seconds:.0f} images/s, {gigabytes:.3g} GB, start of the workers included", "",
             "| stage, one process, nothing else running | ms an image | share |", "|---|---|---|"]
    total = sum(stages.values())
    lines += [f"| {name} | {1000 * value:.3f} | {value / total:.0%} |" for name, value in stages.items()]
    facts = {"images": count, "seconds": seconds, "provider": choice.provider, "precision": choice.precision,
             "batch_size": batch, "workers": workers, "gigabytes": gigabytes, "stages": stages,
             "machine": _machine()}
    (options.out / "run.json").write_text(json.dumps(facts, indent=1))
    return "\n".join(lines)


def _fastest(options: GpuOptions, here: Sequence[Choice]) -> tuple[Choice, int]:
    """The fastest engine and batch size of the throughput table, among those in fp32."""
    exact = {name_of(choice): choice for choice in here if choice.precision == "fp32"}
    path = options.out / "throughput.jsonl"
    rows = [row for row in read_rows(path) if row["images_per_second"]] if path.exists() else []
    ranked = sorted(((row["images_per_second"], row["name"]) for row in rows), reverse=True)
    for _, name in ranked:
        provider, batch = name.rsplit(", batch ", 1)
        if provider in exact and int(batch) in options.batches:
            return exact[provider], int(batch)
    if not exact:
        raise ProviderError("no engine is available here in fp32. The reasons are printed above.")
    return next(iter(exact.values())), max(options.batches)


def _machine() -> dict[str, Any]:
    return machine() | {"gpus": gpus()}


if __name__ == "__main__":
    sys.exit(main())
