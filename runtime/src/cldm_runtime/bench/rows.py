"""From timings to rows: a JSON object for each contender, appended to a file of JSON lines, and a Markdown table."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .contest import Contest, Timed

Json = dict[str, Any]
COLUMNS = (
    "name", "kind", "networks", "sampler", "steps", "evaluations", "guidance", "provider", "precision", "threads",
    "batch_size", "images_per_second", "seconds_per_image", "turns", "timing", "check", "scan", "gflop_per_image",
    "matrix_product_gflops", "share_of_matrix_product", "peak_memory_mib", "first_image_seconds", "first_image_parts",
    "stages", "quality", "quality_reason", "error", "machine", "versions", "seed", "date", "command")
"""Keys that every row has; a contender may add others."""

WHOLE, EXTRAPOLATED = "whole", "extrapolated from a few steps of the sampling loop"


@dataclass(frozen=True)
class SharedFacts:
    """The facts that are equal in all rows of a run."""

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    threads: int
    seed: int
    date: str
    command: str


def make_rows(contest: Contest, setting: SharedFacts) -> list[Json]:
    """One row for each contender, in their order."""
    return [_row(timed, contest.products, setting) for timed in contest.timed]


def _row(timed: Timed, products: Sequence[float], setting: SharedFacts) -> Json:
    contender, facts = timed.contender, dict(timed.facts)
    memory, stages = facts.pop("peak_memory_bytes", None), facts.pop("stages", None)
    memory = memory and memory + facts.pop("workers_memory_bytes", 0)
    speed = 1.0 / statistics.median(timed.seconds) if timed.seconds and timed.error is None else None
    gflop, peak = facts.get("gflop_per_image"), statistics.median(products)
    row: Json = dict.fromkeys(COLUMNS)
    row |= {"name": contender.name, "kind": contender.kind, "threads": setting.threads, "seed": setting.seed}
    row |= {**contender.describes, **facts}
    row |= {
        "batch_size": timed.batch or None,
        "images_per_second": _rounded(speed),
        "seconds_per_image": [_rounded(value) for value in timed.seconds],
        "turns": timed.turns,
        "timing": EXTRAPOLATED if contender.extrapolate else WHOLE,
        "check": None if timed.check is None else {name: _rounded(value) for name, value in timed.check.items()},
        "scan": {str(batch): _rounded(value) for batch, value in timed.scan.items()},
        "gflop_per_image": _rounded(gflop),
        "matrix_product_gflops": [_rounded(value) for value in products],
        "share_of_matrix_product": _rounded(gflop * speed / peak if gflop and speed else None),
        "peak_memory_mib": round(memory / 2**20) if memory else None,
        "first_image_seconds": _rounded(timed.first.get("seconds")),
        "first_image_parts": {name: _rounded(timed.first[name]) for name in ("import", "load") if name in timed.first},
        "stages": {name: _rounded(value) for name, value in (stages or timed.parts or {}).items()},
        "error": timed.error,
        "machine": dict(setting.machine), "versions": dict(setting.versions), "date": setting.date,
        "command": setting.command,
    }
    return row


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Append rows to a file of JSON lines; the file is created if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return path


def read_rows(path: Path) -> list[Json]:
    """The rows of a file, in their order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def speed_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of rows; contenders that failed are listed below it."""
    head = ("contender", "steps", "guidance", "batch", "images a second", "rounds, slowest to fastest",
            "GFLOP an image", "share of matrix product", "memory, MiB", "first image, s")
    lines = [head, ("---",) * len(head), *(_cells(row) for row in rows if row["error"] is None)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    failed = [f"- {row['name']}: not measured, {row['error']}" for row in rows if row["error"] is not None]
    return table + ("\n\n" + "\n".join(failed) if failed else "")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    speeds = sorted(1.0 / seconds for seconds in row["seconds_per_image"])
    span = f"{speeds[0]:.3g} to {speeds[-1]:.3g}" if speeds else "–"
    extrapolated = " (extrapolated)" if row["timing"] == EXTRAPOLATED else ""
    share = row["share_of_matrix_product"]
    return (row["name"], _shown(row["steps"]), _shown(row["guidance"]), _shown(row["batch_size"]),
            _shown(row["images_per_second"]) + extrapolated, span, _shown(row["gflop_per_image"]),
            "–" if share is None else f"{100 * share:.0f} %", _shown(row["peak_memory_mib"]),
            _shown(row["first_image_seconds"]))


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rounded(value: float | None) -> float | None:
    """The value to five digits, which is more than a timing's precision."""
    return None if value is None else float(f"{value:.5g}")
