"""The batch size that is fastest on this machine, found by a short measurement and remembered.

It is remembered in `batch-size.json` in the user's cache folder (`files/user_cache.py`). If the file is lost, the size
is measured again. Entries of other keys, and a file that is not JSON, have no effect.
"""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from ..bundle.manifest import SamplingSpec
from ..engines.processor import processor_name
from ..files.atomic import write_bytes
from ..files.user_cache import cache_folder
from ..version import __version__
from .generator import Generator

SIZES = (1, 2, 4, 8, 16, 32)
_FILE = "batch-size.json"
_SECONDS_A_SIZE = 0.25  # small batches are timed several times in it, large ones once
_LONGEST_S = 3.0  # no larger size is tried after that


def best_batch_size(generator: Generator, settings: SamplingSpec) -> int:
    """One of `SIZES`: remembered for this bundle, provider, machine and these settings, else measured (about 2 s)."""
    key = _key(generator, settings)
    remembered = _read().get(key)
    if isinstance(remembered, int) and remembered in SIZES:
        return remembered
    best = measured_batch_size(lambda size: generator.seconds_a_sample(replace(settings, batch_size=size)))
    _write(key, best)
    return best


def measured_batch_size(seconds: Callable[[int], float]) -> int:
    """The size with the fewest seconds a sample; `seconds` runs one batch of a size and estimates them."""
    measuring_since, seconds_of = time.perf_counter(), dict[int, float]()
    for size in SIZES:
        started = time.perf_counter()
        seconds_of[size] = seconds(size)
        while time.perf_counter() - started < _SECONDS_A_SIZE:
            seconds_of[size] = min(seconds_of[size], seconds(size))
        if time.perf_counter() - measuring_since > _LONGEST_S:
            break
    return min(seconds_of, key=lambda size: seconds_of[size])


def _key(generator: Generator, settings: SamplingSpec) -> str:
    """A digest of everything that the speed depends on."""
    facts = [generator.bundle.manifest_sha256, generator.provider, generator.threads, settings.steps, settings.sampler,
             settings.guidance != 1, __version__, *map(_version, ("onnxruntime", "onnxruntime-gpu", "openvino")),
             processor_name()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _read() -> dict[str, object]:
    try:
        content = json.loads((cache_folder() / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(key: str, size: int) -> None:
    folder = cache_folder()
    with suppress(OSError):  # remembering is a convenience
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / _FILE, json.dumps({**_read(), key: size}, indent=1).encode())
