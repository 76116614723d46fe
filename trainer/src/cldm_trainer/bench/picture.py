"""Quality against speed: one panel for each figure, a point for each setting."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
_SIZE = 3.6  # inches of a panel's side


def quality_against_speed(path: Path, rows: Sequence[Row]) -> bool:
    """Draw the picture; False, and nothing drawn, where no row has both a speed and a quality."""
    shown = [row for row in rows if row["kind"] == "networks" and row["quality"] and row["images_per_second"]]
    if not shown:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = _panels(shown)
    figure, axes = pyplot.subplots(1, len(panels), figsize=(_SIZE * len(panels), _SIZE), squeeze=False)
    for axis, (title, values) in zip(axes[0], panels.items(), strict=True):
        for number, (row, value) in enumerate(zip(shown, values, strict=True), 1):
            if value is not None:
                axis.scatter(row["images_per_second"], value, s=18, marker=_marker(row), color="tab:blue")
                axis.annotate(str(number), (row["images_per_second"], value), fontsize=6, xytext=(3, 3),
                              textcoords="offset points")
        axis.set_xscale("log")
        axis.set_xlabel("images a second")
        axis.set_title(title, fontsize=9)
    names = "   ".join(f"{number} {row['name']}" for number, row in enumerate(shown, 1))
    figure.text(0.01, 0.01, names, fontsize=5, wrap=True, verticalalignment="bottom")
    figure.tight_layout(rect=(0, 0.12, 1, 1))
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
