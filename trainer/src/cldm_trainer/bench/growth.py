"""How time and memory of drawing grow with the side of a volume: untrained networks of a configuration, in torch, at
several sides, each in a process of its own."""

import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np

from cldm_runtime.domains.label_channels import label_channels
from cldm_runtime.errors import InputError

from ..config import Config

_REPEATS = 3  # the fastest counts, after one call that does not
_MEBI = 2**20


@dataclass(frozen=True)
class SideCost:
    """Of one volume with that side in voxels. seconds: of the processor, so that what else runs does not count; of the
    condition's encoder, NaN without one, of one step of the denoiser, and of the decoder. memory_mib: most that the
    process held, above what it held with the networks."""

    side: int
    encode_seconds: float
    step_seconds: float
    decode_seconds: float
    memory_mib: float


def measure_sides(config: Config, sides: Sequence[int]) -> list[SideCost]:
    """Raises InputError where no volumes of labels are drawn, and for a side that the networks cannot halve as often
    as they do."""
    if len(config.prepare.shape) != 3 or config.run.output != "labels":
        raise InputError(f"found run.output = {config.run.output!r} and {len(config.prepare.shape)} axes, expected "
                         "labels and 3. Take a configuration such as ldm-seg-cpu.toml.")
    unit = config.image_codec.stride * 2 ** (len(config.diffusion.channels) - 1)
    if odd := [side for side in sides if side % unit]:
        raise InputError(f"--side: found {odd[0]}, expected multiples of {unit}.")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return [pool.submit(_cost, config, side).result() for side in sides]


def as_table(costs: Sequence[SideCost]) -> list[str]:
    """Lines of a Markdown table. The last row holds slopes, where there are several sides."""
    sides = [cost.side for cost in costs]
    columns = [[getattr(cost, name) for cost in costs] for name in
               ("encode_seconds", "step_seconds", "decode_seconds", "memory_mib")]
    lines = ["| side, voxels | condition encoded, CPU s | one step, CPU s | decoded, CPU s | memory, MiB |",
             "|---|---|---|---|---|"]
    for number, side in enumerate(sides):
        times = " | ".join(f"{column[number]:.4f}" for column in columns[:3])
        lines.append(f"| {side} | {times} | {columns[3][number]:.0f} |")
    if len(sides) > 1:
        lines.append("| slope | " + " | ".join(f"{slope(sides, column):.2f}" for column in columns) + " |")
    return lines


def kept_lines(config: Config) -> list[str]:
    """What training steps keep in memory at the size of the configuration, a line for each network."""
    from ..conditions.kind import Design
    from .kept_memory import codec_memory, denoiser_memory

    design = Design.of(config)
    labels = design.domain.labels
    kept = {"image-codec": codec_memory(design, len(label_channels(labels.names, labels.regions))),
            "diffusion": denoiser_memory(design)}
    shape = " x ".join(map(str, design.shape))
    return [f"{stage}, {shape} voxels, single precision, counted: {each.activations_mib:.0f} MiB of activations a "
            f"sample, {each.weights_mib:.0f} MiB of weights with gradients, moments and averages."
            for stage, each in kept.items()]


def slope(sides: Sequence[int], values: Sequence[float]) -> float:
    """Of the logarithm of values against that of the voxels: 1 where they grow with the voxels."""
    return float(np.polyfit(3 * np.log(sides), np.log(values), 1)[0])


def _cost(config: Config, side: int) -> SideCost:
    import torch

    from ..conditions.kind import Design
    from ..conditions.models import make_model
    from ..networks import Conditioned, make_image_codec

    torch.set_num_threads(config.run.threads)
    shape = (side,) * 3
    design = Design.of(replace(config, prepare=replace(config.prepare, shape=shape)))
    labels = design.domain.labels
    codec = make_image_codec(config.image_codec, len(label_channels(labels.names, labels.regions)), 3).eval()
    model = make_model(design).eval()
    denoiser, encoder = (model.denoiser, model.encoder) if isinstance(model, Conditioned) else (model, None)
    held = _most_mib()
    with torch.no_grad():
        latent = torch.randn(1, codec.latent_channels, *(side // config.image_codec.stride for _ in shape))
        image, timestep = torch.rand(1, config.control.image_channels, *shape), torch.zeros(1)
        condition = None if encoder is None else encoder(image)
        encode = float("nan") if encoder is None else _seconds(lambda: encoder(image))
        step = _seconds(lambda: denoiser(latent, timestep, condition))
        decode = _seconds(lambda: codec.decode(latent))
    return SideCost(side, encode, step, decode, _most_mib() - held)


def _seconds(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(_REPEATS):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return min(times)


def _most_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MEBI
