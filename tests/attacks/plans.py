"""Attacks on nnU-Net result folders: what a plan names is imported and called, what a checkpoint pickles is run."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .corpus import each, edit_json


def plan(change: Callable[[Any, Any], Any]) -> Callable[[Path], None]:
    """Change plans.json; `change` gets its 2d configuration and the architecture in it."""
    def changed(value: Any) -> None:
        configuration = value["configurations"]["2d"]
        change(configuration, configuration["architecture"])

    return lambda folder: edit_json(folder / "plans.json", changed)


class Touch:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch attacked",)


def checkpoint(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "fold_0" / "checkpoint_final.pth").write_bytes(data)


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    pickle.dump(value, buffer)
    return buffer.getvalue()


each(
    "plans",
    a_network_that_is_a_command=plan(lambda c, a: a.update(network_class_name="os.system")),
    a_network_of_another_module=plan(lambda c, a: a.update(network_class_name="antigravity.Network")),
    a_layer_that_is_a_command=plan(lambda c, a: a["arch_kwargs"].update(nonlin="os.system")),
    another_argument_that_is_imported=plan(lambda c, a: (
        a["_kw_requires_import"].append("deep"), a["arch_kwargs"].update(deep="subprocess.Popen"))),
    a_network_of_terabytes=plan(lambda c, a: a["arch_kwargs"].update(features_per_stage=[2**40] * 3)),
    a_network_of_many_stages=plan(lambda c, a: a["arch_kwargs"].update(n_stages=10**6)),
    no_architecture=plan(lambda c, a: c.pop("architecture")),
    an_architecture_of_nothing=plan(lambda c, a: a.clear()),
    no_configurations=lambda folder: edit_json(folder / "plans.json", lambda v: v.update(configurations=3)),
    a_plan_that_is_a_list=lambda folder: (folder / "plans.json").write_text("[]"),
    a_plan_that_nests=lambda folder: (folder / "plans.json").write_text("[" * 1_000_000),
    a_checkpoint_that_is_a_command=checkpoint(pickled(Touch())),
    a_checkpoint_of_a_number=checkpoint(pickled(3)),
    a_checkpoint_of_nothing=checkpoint(b""),
    a_checkpoint_of_garbage=checkpoint(b"PK\x03\x04" + bytes(200)),
)
