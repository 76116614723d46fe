"""The table of a run in docs/benchmarks.md, between two markers; what stands around it is left alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cldm_runtime.bench.rows import EXTRAPOLATED

from ..tables import NOTHING, number, table

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
Row = Mapping[str, Any]


def write_page(page: Path, rows: Sequence[Row]) -> None:
    """Put the tables of these rows between the markers, which are added at the end where they are missing."""
    text = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    if BEGIN not in text or END not in text:
        text = f"{text.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"{before}{BEGIN}\n{bench_section(rows)}\n{END}{after}", encoding="utf-8")


def bench_section(rows: Sequence[Row]) -> str:
    """What stands between the markers."""
    generators = [row for row in rows if row["kind"] != "segmenter" and row["error"] is None]
    segmenters = [row for row in rows if row["kind"] == "segmenter" and row["error"] is None]
    failed = [f"- {row['name']}: not measured, {row['error']}" for row in rows if row["error"] is not None]
    parts = [_made(rows[0])] if rows else []
    if generators:
        parts.append(_generators(generators))
    if segmenters:
        parts.append(_segmenters(segmenters))
    return "\n\n".join([*parts, "\n".join(failed)] if failed else parts)


def _made(row: Row) -> str:
    machine = row["machine"]
    products = ", ".join(number(value, 0) for value in row["matrix_product_gflops"])
    packages = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    return (f"`{row['command']}`, {row['date']}, {row['threads']} threads of {machine['cpu']} ({machine['cores']} "
            f"cores, {machine['memory_gib']} GiB), {machine['os']}; load before the run {machine['load']}. Matrix "
            f"product before, during and after: {products} GFLOP/s. {packages}.\n\n"
            "Contenders were timed in turn, each in a separate process at its fastest batch size; `e`: extrapolated "
            "from a few steps of the sampling loop. GFLOP: twice the multiply-adds of convolutions and matrix "
            "products. Quality is that of the runtime's images at the same sampler, steps and guidance.")


def _generators(rows: Sequence[Row]) -> str:
    attributes = _attributes(rows)
    head = ["contender", "evaluations", "batch", "images/s", "rounds", "GFLOP/image", "share of product", "MiB",
            "first image, s", *(f"r2 {name}" for name in attributes), "Fréchet", "two-sample", "latent spread",
            "fine detail"]
    return table(head, [[*_speed(row), *_quality(row, attributes)] for row in rows])


def _speed(row: Row) -> list[str]:
    speeds = sorted(1.0 / seconds for seconds in row["seconds_per_image"])
    marked = " e" if row["timing"] == EXTRAPOLATED else ""
    share = row["share_of_matrix_product"]
    return [row["name"], str(row["evaluations"] or NOTHING), str(row["batch_size"]),
            f"{_three(row['images_per_second'])}{marked}", f"{_three(speeds[0])} to {_three(speeds[-1])}",
            _three(row["gflop_per_image"]), NOTHING if share is None else f"{100 * share:.0f} %",
            str(row["peak_memory_mib"]), number(row["first_image_seconds"], 1)]


def _quality(row: Row, attributes: Sequence[str]) -> list[str]:
    quality = row["quality"]
    if quality is None:
        return [NOTHING] * (len(attributes) + 4)
    return [*(number(quality["r2"].get(name), 3) for name in attributes), number(quality["frechet"], 4),
            number(quality["two_sample"], 3), number(quality["latent_spread"], 3),
            number(quality["high_frequency_ratio"], 3)]


def _attributes(rows: Sequence[Row]) -> list[str]:
    names = [name for row in rows if row["quality"] for name in row["quality"]["r2"]]
    return list(dict.fromkeys(names))


def _segmenters(rows: Sequence[Row]) -> str:
    head = ["contender", "batch", "slices/s", "rounds", "GFLOP/slice", "share of product", "MiB", "first slices, s",
            "lowest Dice with nnU-Net", "differing pixels"]
    lines = []
    for row in rows:
        speed, quality = _speed(row), row["quality"] or {}
        dice = quality.get("dice_with_nnunet")
        lines.append([speed[0], *speed[2:], number(min(dice.values()), 5) if dice else NOTHING,
                      str(quality.get("differing_pixels", NOTHING))])
    return table(head, lines)


def _three(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"
