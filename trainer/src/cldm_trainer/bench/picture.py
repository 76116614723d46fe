"""Quality against speed: one panel for each figure, a point for each setting."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
_SIZE = 3.6  # inches of a panel's side
_COLUMNS = 4


def quality_against_speed(path: Path, rows: Sequence[Row]) -> bool:
    """Draw the picture; False, and nothing drawn, where no row has both a speed and a quality."""
    measured = [row for row in rows if row["kind"] == "networks" and row["quality"] and row["images_per_second"]]
    if not measured:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = _panels(measured)
    rows_of_panels = -(-(len(panels) + 1) // _COLUMNS)  # one more for the names
    figure, axes = pyplot.subplots(rows_of_panels, _COLUMNS, figsize=(_SIZE * _COLUMNS, _SIZE * rows_of_panels))
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, values) in zip(axes.flat, panels.items(), strict=False):
        axis.set_axis_on()
        for number, (row, value) in enumerate(zip(measured, values, strict=True), 1):
            if value is not None:
                axis.scatter(row["images_per_second"], value, s=18, marker=_marker(row), color="tab:blue")
                axis.annotate(str(number), (row["images_per_second"], value), fontsize=7, xytext=(3, 3),
                              textcoords="offset points")
        axis.set_xscale("log")
        axis.set_xlabel("images a second")
        axis.set_title(title, fontsize=10)
    names = "\n".join(f"{number}  {row['name']}" for number, row in enumerate(measured, 1))
    axes.flat[len(panels)].text(0.0, 1.0, names, fontsize=6.5, verticalalignment="top")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True


def _panels(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    """Title -> the value of every row."""
    attributes = dict.fromkeys(name for row in rows for name in row["quality"]["r2"])
    panels: dict[str, list[float | None]] = {
        f"r2 of {name}": [row["quality"]["r2"].get(name) for row in rows] for name in attributes}
    for key, title in (("frechet", "Fréchet distance"), ("two_sample", "two-sample accuracy"),
                       ("latent_spread", "latent spread"), ("high_frequency_ratio", "fine detail")):
        panels[title] = [row["quality"][key] for row in rows]
    return panels


def _marker(row: Row) -> str:
    return "^" if str(row["provider"]).startswith("torch") else "o"
