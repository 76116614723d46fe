"""The output of `cldm verify`: one engine in full, several as a Markdown table with a row each, or JSON."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..metrics.parity import Drift, Flips, ImageParity
from .compare import EngineReport
from .replay import Check

DASH = "–"


def as_text(report: EngineReport) -> str:
    """One line a check: name, largest error, tolerance, PSNR of images, verdict; then the segmenter's differences."""
    width = max(len(check.name) for check in report.checks)
    lines = [_check_line(check, width) for check in report.checks]
    if report.flips is not None:
        lines += ["", f"labels of the reference: {_flips_text(report.flips)}"]
    for name, parity in report.parities():
        if parity.flips is not None:
            lines += ["", *_parity_lines(name, parity, parity.flips)]
    return "\n".join(lines)


def as_table(reports: Sequence[EngineReport]) -> str:
    """A Markdown table of the samples if some were generated, else of the reference, and a line that explains it."""
    measured = [report for report in reports if not report.missing]
    parities = [report.samples or report.reference for report in measured]
    attributes = list(dict.fromkeys(drift.attribute for parity in parities if parity for drift in parity.drifts))
    labels = any(parity.flips for parity in parities if parity) or any(report.flips for report in measured)
    head = ["engine", "precision", "reference, max abs error", *(["samples, max abs error"] if any(
        report.samples for report in measured) else []), *(["PSNR, dB"] if any(parities) else []),
        *(["label flips"] if labels else []), *attributes, "verdict"]
    rows = [_row(report, head, attributes) for report in reports]
    table = _aligned([head, *rows])
    generated = max((report.samples.samples for report in measured if report.samples), default=0)
    images = f"{generated} samples generated here" if generated else "the samples of the reference"
    return f"{table}\n\nAttributes: mean, median, 95 % and largest drift over {images}." if attributes else table


def as_json(report: EngineReport) -> dict[str, Any]:
    """The fields of the report, with verdicts; numbers that are not finite become null."""
    if report.missing:
        return {"provider": report.provider, "precision": report.precision, "missing": report.missing}
    value = dataclasses.asdict(report) | {
        "passed": not report.failed, "failed": list(report.failed),
        "checks": [dataclasses.asdict(check) | {"passed": check.passed} for check in report.checks]}
    for name, parity in report.parities():
        value[name]["drifts"] = [dataclasses.asdict(drift) | {"passed": drift.passed} for drift in parity.drifts]
    del value["missing"]
    plain: dict[str, Any] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_line(check: Check, width: int) -> str:
    peak = "" if check.psnr_db is None else "the same" if check.psnr_db == math.inf else f"{check.psnr_db:.1f} dB"
    return (f"{check.name:{width}}  max abs error {check.max_abs:9.2e}  tolerance {check.tolerance:8.1e}  {peak:>8}  "
            f"{_verdict(check.passed)}")


def _parity_lines(name: str, parity: ImageParity, flips: Flips) -> Iterator[str]:
    images = "samples generated here" if name == "samples" else "samples of the reference"
    yield f"what the segmenter sees in {parity.samples} {images}: {_flips_text(flips)}"
    width = max(len(drift.attribute) for drift in parity.drifts)
    yield (f"  {'drift of':{width}}     mean   median     95 %  largest  tolerance  compared  on one side")
    for drift in parity.drifts:
        figures = (drift.mean, drift.median, drift.percentile_95, drift.largest)
        yield (f"  {drift.attribute:{width}}  {'  '.join(_number(value, '7.4f') for value in figures)}  "
               f"{drift.tolerance:9.2g}  {drift.compared:8}  {drift.one_sided:11}  {_verdict(drift.passed)}")


def _flips_text(flips: Flips) -> str:
    text = f"{flips.flipped} of {flips.pixels} pixels have another label"
    return text if flips.lesion is None else f"{text}, {flips.lesion.flipped} of {flips.lesion.pixels} of the lesion"


def _row(report: EngineReport, head: Sequence[str], attributes: Sequence[str]) -> list[str]:
    if report.missing:
        return [report.provider, report.precision, *[DASH] * (len(head) - 3),
                f"not measured here: {report.missing.splitlines()[0].split('. ')[0]}"]
    parity = report.samples or report.reference
    errors = {check.name: f"{check.max_abs:.1e}" for check in report.checks}
    drifts = {drift.attribute: drift for drift in parity.drifts} if parity else {}
    cells = {"engine": report.provider, "precision": report.precision,
             "reference, max abs error": errors.get("loop/image", _largest(report.checks)),
             "samples, max abs error": errors.get("samples/image", DASH),
             "PSNR, dB": _psnr(parity) if parity else DASH,
             "label flips": _shares(parity.flips if parity else report.flips),
             **{name: _drift_cell(drifts.get(name)) for name in attributes},
             "verdict": f"FAILED: {', '.join(report.failed)}" if report.failed else "ok"}
    return [cells[name] for name in head]


def _largest(checks: Sequence[Check]) -> str:
    return f"{max((check.max_abs for check in checks), key=lambda value: (math.isnan(value), value)):.1e}"


def _psnr(parity: ImageParity) -> str:
    return "the same" if parity.psnr_db == math.inf else _number(parity.psnr_db, ".1f")


def _shares(flips: Flips | None) -> str:
    if flips is None:
        return DASH
    lesion = flips.lesion.share if flips.lesion is not None else math.nan
    return f"{100 * flips.share:.2g} %" + (f", lesion {100 * lesion:.2g} %" if math.isfinite(lesion) else "")


def _drift_cell(drift: Drift | None) -> str:
    """Mean, median, 95th percentile, largest."""
    if drift is None or not drift.compared:
        return DASH
    if not drift.largest and not drift.one_sided:
        return "0"
    text = f"{drift.mean:.4f}, {drift.median:.4f}, {drift.percentile_95:.4f}, {drift.largest:.4f}"
    return f"{text}; {drift.one_sided} on one side" if drift.one_sided else text


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else format(DASH, f">{form.split('.')[0]}")


def _verdict(passed: bool) -> str:
    return "ok" if passed else "FAILED"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the last column is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    widths[-1] = len(lines[0][-1])
    head, *rows = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["-" * width for width in widths], *rows))
