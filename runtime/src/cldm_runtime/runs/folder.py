"""Reads a folder of parts, without the bundle and the requests that its run needs.

    <out>.parts/plan.json    the plan: everything that determines the content
                parts.json   how the samples are cut into parts
                part-00000.h5 ...
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files.atomic import file_behind
from .run import LAYOUT_FILE, PLAN_FILE, Part, read_plan


@dataclass(frozen=True)
class PartsFolder:
    """An unfinished run. sha256: of its plan. parts: all of them, in order, finished or not."""

    path: Path
    sha256: str
    parts: Sequence[Part]


def read_folder(folder: Path) -> PartsFolder:
    """Read plan.json and parts.json. Raises InputError if one of them is missing or damaged."""
    try:
        plan = (folder / PLAN_FILE).read_bytes()
        layout = read_plan((folder / LAYOUT_FILE).read_text(encoding="utf-8"))
        samples, size, suffix = int(layout["samples"]), int(layout["part_samples"]), str(layout["suffix"])
        starts = range(0, samples, size)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{folder}: does not say how the run is cut into parts ({error}). Repeat the command that "
                         "started the run, with --status added.") from error
    parts = [Part(number, folder / f"part-{number:05d}{suffix}", range(start, min(start + size, samples)))
             for number, start in enumerate(starts)]
    return PartsFolder(folder, hashlib.sha256(plan).hexdigest(), parts)


def folders_of(out: Path) -> list[Path]:
    """The folders of unfinished runs that write to a file: its generation, and evaluations by segmenters."""
    out = file_behind(out)
    folders = [out.with_name(f"{out.name}.parts"), *sorted(out.parent.glob(f"{_escaped(out.name)}.*.parts"))]
    return [folder for folder in folders if folder.is_dir()]


def layout_text(samples: int, ranges: Sequence[range], suffix: str) -> str:
    """parts.json of a run."""
    size = len(ranges[0]) if ranges else 1
    return json.dumps({"samples": samples, "part_samples": size, "suffix": suffix}) + "\n"


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
