"""Times of a network in each of its forms, in turn: torch as it is, TorchScript, onnxruntime and native code."""

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cldm_runtime.bench.machine import machine, versions
from cldm_runtime.engines import Engine, open_engine
from cldm_runtime.manifest import GraphSpec

from ..generator import GeneratorExport
from .package import Called

ROLES = ("denoiser", "decoder")  # nearly all of the arithmetic
EAGER, TRACED, ONNX, COMPILED = "torch, eager", "TorchScript", "onnxruntime", "AOTInductor"
_WARM_UP, _ROUNDS = 3, 9
_PAUSE = 0.3  # seconds after each call: onnxruntime's threads spin on, which cost the next form half its speed at 0.02

Seconds = dict[str, list[float]]  # form -> seconds of a batch, one for each round


def time_networks(export: GeneratorExport, compiled: Mapping[str, Engine], examples: Mapping[str, Mapping[str, Tensor]],
                  batch_size: int, file: Path) -> str:
    """Time the networks in `ROLES`, write every figure to a JSON file and return a table.

    examples: inputs by role, repeated until they fill a batch.
    """
    threads, found = export.config.run.threads, {}
    for role in ROLES:
        inputs = {name: _batch(value, batch_size) for name, value in examples[role].items()}
        found[role] = time_in_turn(open_forms(export, role, examples[role], compiled[role], threads), inputs)
    facts = {"batch_size": batch_size, "threads": threads, "rounds": _ROUNDS, "machine": machine(),
             "versions": versions(("torch", "onnxruntime", "numpy")), "seconds_per_batch": found}
    file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return as_table(found, batch_size)


def open_forms(export: GeneratorExport, role: str, examples: Mapping[str, Tensor], compiled: Engine,
               threads: int) -> dict[str, Engine]:
    """The network in every form. The ONNX graph and the trace are those that the export would write."""
    graph = export.graph(role, examples)
    assert graph.torchscript is not None  # asked for when the run was loaded
    spec = GraphSpec(f"{role}.onnx", "", "fp32", graph.inputs, graph.outputs)
    return {
        EAGER: Called(export.networks.modules()[role], tuple(examples)),
        TRACED: open_engine(graph.torchscript, spec, "torchscript", threads),
        ONNX: open_engine(graph.model, spec, "cpu", threads),
        COMPILED: compiled,
    }


def time_in_turn(forms: Mapping[str, Engine], inputs: Mapping[str, NDArray[Any]]) -> Seconds:
    """Seconds of one call, in rounds in which every form has its turn, after calls that are not counted."""
    seconds: Seconds = {name: [] for name in forms}
    for number in range(_WARM_UP + _ROUNDS):
        for name, engine in forms.items():
            begun = time.perf_counter()
            engine.run(inputs)
            taken = time.perf_counter() - begun
            if number >= _WARM_UP:
                seconds[name].append(round(taken, 6))
            time.sleep(_PAUSE)
    return seconds


def as_table(found: Mapping[str, Seconds], batch_size: int) -> str:
    """A Markdown table: the median of each form for one image, the span of all rounds, and how much faster than eager
    torch it is."""
    lines = ["| network | form | ms an image | fastest to slowest | times as fast as eager torch |",
             "|---|---|---|---|---|"]
    for role, seconds in found.items():
        eager = statistics.median(seconds[EAGER])
        for form, values in seconds.items():
            median = statistics.median(values)
            shown = [f"{1e3 * value / batch_size:.2f}" for value in (median, min(values), max(values))]
            lines.append(f"| {role} | {form} | {shown[0]} | {shown[1]} to {shown[2]} | {eager / median:.2f} |")
    return "\n".join(lines)


def _batch(value: Tensor, size: int) -> NDArray[Any]:
    rows = torch.from_numpy(np.arange(size) % len(value))
    array: NDArray[Any] = value[rows].contiguous().numpy()
    return array
