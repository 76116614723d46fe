"""Speed of the engines of a GPU at fixed batch sizes, and the time of each stage of a run."""

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle.conditions import encoder_inputs
from ..engines.choose import Choice
from ..engines.torch_device import import_torch
from ..errors import CldmError, ProviderError
from ..generation.generator import Generator
from ..generation.pipeline import decoder_noise, initial_noise
from ..requests.sources import measured_attributes
from ..store import DatasetSpec, create_dataset
from .contest import Contender, Timed
from .machine import PRODUCT_SIZE, matrix_product_gflops, peak_memory_bytes
from .work import example_requests, example_sources, sampling_facts

_TURNS = 3
_PRODUCTS = 10


def name_of(choice: Choice) -> str:
    return f"{choice.provider} {choice.precision}"


def timed_networks(bundle: Path, choice: Choice, batch: int, seconds: float, graphs: bool = True) -> Timed:
    """The networks of one provider at one batch size, from conditions in memory to images in memory, in three turns of
    at least `seconds` each. graphs: with CUDA graphs."""
    name = f"{name_of(choice)}{'' if graphs else ' without CUDA graphs'}, batch {batch}"
    contender = Contender(name, "networks", "", {}, {"provider": choice.provider})
    result = Timed(contender, batch=batch)
    started = time.perf_counter()
    os.environ["CLDM_CUDA_GRAPHS"] = str(int(graphs))
    try:
        generator = Generator.load(bundle, choice.provider, precision=choice.precision)
        batches = _batches(generator, batch)
        next(batches)
        result.first = {"seconds": time.perf_counter() - started}
        next(batches)
        for _ in range(_TURNS):
            started, images = time.perf_counter(), 0
            while time.perf_counter() - started < seconds or not images:
                images += next(batches)
            result.seconds.append((time.perf_counter() - started) / images)
        facts = sampling_facts(generator.bundle, generator.sampling)
        graphs = facts.pop("precision")
        result.facts = {**facts, "precision": f"{choice.precision} (graphs {graphs})",
                        "peak_memory_bytes": peak_memory_bytes()}
    except (CldmError, RuntimeError) as error:  # RuntimeError: what torch and onnxruntime raise when memory runs out
        result.error = " ".join(str(error).split())[:300]
    finally:
        del os.environ["CLDM_CUDA_GRAPHS"]
    print(f"{contender.name}: {result.error or f'{1 / min(result.seconds):.4g} images/s'}", flush=True)
    return result


def _batches(generator: Generator, batch: int) -> Iterator[int]:
    """An endless sequence of batches, each started before waiting for the previous one; yields their sizes."""
    pipeline, settings = generator.pipeline, replace(generator.sampling, batch_size=batch)
    sources, plan, pending = example_sources(generator.bundle, batch, 0), pipeline.plan(settings), deque[Any]()
    indices = np.arange(batch, dtype=np.int64)
    while True:
        pending.append(pipeline.begin(pipeline.encode(sources), plan, 0, indices))
        if len(pending) > pipeline.ahead:
            yield len(pending.popleft()().image)


def product_gflops() -> float:
    """Billions of operations a second of a matrix product in fp32: on the GPU, if torch sees one, else on the CPU."""
    try:
        torch = import_torch("torchscript-cuda")
    except ProviderError:
        return matrix_product_gflops()
    if not torch.cuda.is_available():
        return matrix_product_gflops()
    torch.backends.cuda.matmul.allow_tf32 = False
    a, b = (torch.rand(PRODUCT_SIZE, PRODUCT_SIZE, device="cuda") for _ in range(2))
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.mm(a, b)
    start.record()
    for _ in range(_PRODUCTS):
        torch.mm(a, b)
    end.record()
    end.synchronize()
    seconds = float(start.elapsed_time(end)) / 1000
    return _PRODUCTS * 2.0 * PRODUCT_SIZE**3 / seconds / 1e9


def stage_seconds(generator: Generator, batch: int) -> dict[str, float]:
    """Seconds an image of every stage of a run, one after the other, in one batch."""
    pipeline, manifest, domain = generator.pipeline, generator.manifest, generator.domain
    indices, source = np.arange(batch, dtype=np.int64), example_requests(generator.bundle, batch)
    stages: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        stages[name] = (time.perf_counter() - started) / batch
        return result

    requests = timed("drawing label maps", lambda: [source.request(0, index) for index in range(batch)])
    maps = [request.mask for request in requests if request.mask is not None]
    masks, requested = np.stack(maps) if maps else None, np.stack([request.requested for request in requests])
    sources = timed("conditions", lambda: encoder_inputs(manifest, domain, masks, requested))
    graphs = manifest.graphs
    noise = timed("noise", lambda: {"x": initial_noise(graphs["denoiser"], 0, indices),
                                    **decoder_noise(graphs["decoder"], 0, indices)})
    plan = pipeline.plan(replace(generator.sampling, batch_size=batch))
    pipeline.sample(sources, plan, 0, indices)  # warm-up: the first batch compiles and records
    images = timed("networks", lambda: pipeline.sample(sources, plan, 0, indices)).image
    device = pipeline.device
    up = [device.put(array) for array in (*sources.values(), *noise.values())]
    timed("copies", lambda: [device.fetch(device.put(array))() for array in (*noise.values(), images)])
    del up
    stages["networks"] -= stages["noise"] + stages["copies"]
    if masks is not None:
        timed("measuring label maps", lambda: measured_attributes(masks, list(requested), domain,
                                                                          manifest.image.spacing_mm))
    image = manifest.image
    spec = DatasetSpec(domain, image.shape, image.spacing_mm, image.channels, image.value_range)
    columns = {"images": np.clip(images, *image.value_range)} | ({} if masks is None else {"masks": masks})

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder, create_dataset(Path(folder) / "written.h5", spec) as writer:
            writer.append(**columns)

    timed("writing", write)
    return stages
