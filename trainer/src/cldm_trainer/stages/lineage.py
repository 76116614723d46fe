"""What the weights of a run learned from before the run itself: other runs' denoisers, and an adopted bundle.

A denoiser that began with another's weights, or stands on them, keeps this in its configuration, under INHERITED: it
is still known when the other run is gone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..training import checkpoint
from ..training.run_folder import RunFolder
from . import codec, texture
from .bases import STAGE

INHERITED = "inherited"
_ADOPTED = (codec.IMAGE_STAGE, codec.MASK_STAGE, texture.STAGE, STAGE)  # the stages that `adopt` fills


@dataclass(frozen=True)
class Inheritance:
    """steps: run -> steps of its denoiser, the nearest first. natures: of the images that those learned from; "": not
    known."""

    steps: Mapping[str, int] = field(default_factory=dict)
    natures: tuple[str, ...] = ()


NO_INHERITANCE = Inheritance()


def inheritance(run: RunFolder, parent: str) -> Inheritance:
    """Of a denoiser that begins with, or stands on, that of the run `parent` and what this one inherited; "": of none.
    """
    steps: dict[str, int] = {}
    natures: set[str] = set()
    while parent and parent not in steps:
        folder = run.other(parent, STAGE)
        steps[parent] = int(checkpoint.metadata(folder / checkpoint.MODEL).get("step", 0))
        natures |= _natures_of_stage(folder)
        kept = recorded_inheritance(folder)
        if kept is not None:
            return Inheritance({**steps, **kept.steps}, tuple(sorted(natures.union(kept.natures))))
        parent = str(checkpoint.stored_config(folder).get("start", ""))
    return Inheritance(steps, tuple(sorted(natures)))


def recorded_inheritance(folder: Path) -> Inheritance | None:
    """What the diffusion stage in `folder` keeps; None where it inherits nothing, or was trained by an earlier version.
    """
    kept = checkpoint.stored_config(folder).get(INHERITED)
    return None if kept is None else Inheritance(dict(kept["steps"]), tuple(kept["natures"]))


def natures_of(folders: Iterable[Path], inherited: Inheritance) -> list[str]:
    """Of all images that the weights in the folders of some stages learned from, besides the present cohort's."""
    natures = set(inherited.natures)
    for folder in folders:
        recorded = _recorded_nature(folder)
        natures |= _adopted_natures(folder) | (set() if recorded is None else {recorded})
    return sorted(natures)


def _natures_of_stage(folder: Path) -> set[str]:
    recorded, adopted = _recorded_nature(folder), _adopted_natures(folder)
    if recorded is None:
        return adopted or {""}  # trained by an earlier version, or gone
    return adopted | {recorded}


def _recorded_nature(folder: Path) -> str | None:
    cohort = checkpoint.stored_config(folder).get(checkpoint.COHORT, {})
    return str(cohort["nature"]) if "nature" in cohort else None


def _adopted_natures(folder: Path) -> set[str]:
    """Of the bundle that the run of a stage began with, if the stage is one that has its weights."""
    file = folder.with_name(checkpoint.ADOPTED)
    if folder.name not in _ADOPTED or not file.exists():
        return set()
    adopted = json.loads(file.read_text(encoding="utf-8"))
    return set(adopted["natures"] if "natures" in adopted else [adopted["nature"]])  # one, of earlier versions
