"""The part of docs/results.md that compares the strategies, written from docs/results.json alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from cldm_runtime.bundle.nature import cohort_adjective, cohort_noun

from ...tables import NOTHING, dice_cell, estimate, number, percent, table
from ..lesion_size import sized_phrase
from ..names import shown_name
from . import paper
from .paper_tables import paper_agreement, paper_overlap

Json = Mapping[str, Any]

SAME_R2 = 0.02  # a setting that is no further below the best counts as its equal

_OPENING = """\
Every strategy is a bundle in `exported/`, made by configuration of one architecture. Each gets the same {slices} test
slices, as label maps or as the attributes measured on them, with {seeds} seed each, its own sampling defaults, and the
same segmenter. The cLDM paper reports the same figures on patients (MYOSAIQ); they are in separate tables.
**The data differ**: compare how the strategies rank, not the numbers."""


def strategies_text(figures: Json) -> str:
    """Both tables with what belongs to them."""
    compared, lesion, attributes = figures["strategies"], figures["lesion"], figures["attributes"]
    nature, names = figures.get("nature", ""), set_names(figures["compared"], figures["without"])
    slices = compared["rows"]["real, test"]["slices"]
    parts = [
        "## The strategies",
        _OPENING.format(slices=slices, seeds=compared["seeds"]),
        *_left_out(compared["missing"]),
        "### Table 1: agreement of the attributes",
        agreement(compared, attributes, lesion, nature),
        *_contests(compared, attributes),
        false_and_distances(compared, lesion, nature, figures.get("axes", 2)),
        _distances_note(compared, nature),
        "![target against measured](figures/strategies.png)",
        "#### Table 1: the paper, on patients",
        paper_agreement(compared["keys"], attributes),
        "The paper does not say over which slices its r2 is. Its Frechet distance is on Inception features and does "
        "not compare with the one above.",
        "### Table 2: overlap with the label map",
        overlap(compared, names, lesion, nature, figures.get("axes", 2)),
        "Strategies that get attributes or a vector choose the shape themselves, so overlap means nothing for them. "
        "HD in mm: mean Hausdorff distance over the slices where both label maps have the region.",
        "#### Table 2: the paper, on patients",
        paper_overlap(compared["outlined"], figures["compared"]),
        "### Training",
        budgets(compared),
        *_label_vaes(compared, attributes, lesion),
        "### Control",
        "One attribute changes at a time: `figures/sweep-<bundle>.png`. Generators that take label maps keep heart and "
        "noise along a row, and draw the scar elsewhere where it does not fit; their last row is one label map, "
        "turned. The others keep the noise, and choose the heart themselves.",
        *(f"![{title(key)}](figures/sweep-{folder}.png)" for key, folder in compared["folders"].items()),
    ]
    if figures.get("trade"):
        parts += ["### Guidance: obedience against variety", trade(figures["trade"], attributes, lesion, nature)]
    if figures.get("realism"):
        parts += ["### Realism and memorisation", realism(figures["realism"], nature)]
    return "\n\n".join(parts)


def _left_out(keys: Sequence[str]) -> list[str]:
    return [f"Without a bundle, and so left out: {', '.join(map(title, keys))}."] if keys else []


def title(key: str) -> str:
    """A strategy's name."""
    return paper.TITLES.get(key, key)


def set_names(subsets: Sequence[str], without: Json) -> list[str]:
    """Each subset, and where it is also shown without a label, that part of it."""
    return [name for subset in subsets
            for name in (subset, *([f"{subset} without {without[subset]}"] if subset in without else []))]


def agreement(compared: Json, attributes: Sequence[str], lesion: str, nature: str = "") -> str:
    """Table 1: r2, slope, bias and ICC of every attribute, over slices with the lesion."""
    lines = []
    for key in ("real, train", "real, val", "real, test", *compared["keys"]):
        row = compared["rows"][key if key.startswith("real") else f"{key}, test"]
        for name in attributes:
            figures = row["agreement"].get(name, {}).get("lesion", {})
            lines.append([shown_name(title(key), nature), name, figures.get("n", 0), estimate(figures.get("r2")),
                          estimate(figures.get("slope")), estimate(figures.get("bias"), 3),
                          estimate(figures.get("icc"))])
    return table(["images", "attribute", "n", "r2", "slope", "bias", "ICC"], lines) + (
        f"\n\nOver slices with {lesion}. Images that obey have slope 1, bias 0 and ICC 1; r2 alone sees neither a "
        "slope nor a bias.")


def false_and_distances(compared: Json, lesion: str, nature: str = "", axes: int = 2) -> str:
    """Lesions that are not there, and how far the images are from training slices."""
    head = ["images", "slices", "patients", f"false {lesion}", f"false {lesion} {sized_phrase(axes)}",
            f"missed {lesion}", "Frechet", "kernel x 1000"]
    lines = []
    for key in ("real, train", "real, val", "real, test", *compared["keys"]):
        row = compared["rows"][key if key.startswith("real") else f"{key}, test"]
        lines.append([shown_name(title(key), nature), row["slices"], row["patients"] or NOTHING,
                      *(percent(row.get(rate)) for rate in ("false_rate", "false_sized", "missed_rate")),
                      *_distance_cells(compared["distances"].get(key))])
    return table(head, lines)


def _distance_cells(distance: Json | None) -> tuple[str, str]:
    if distance is None:
        return NOTHING, NOTHING
    kernel = f"{number(1000 * distance['kernel'], 2)} ± {number(1000 * (distance['kernel_sd'] or 0.0), 2)}"
    return number(distance["frechet"], 4), kernel


def _contests(compared: Json, attributes: Sequence[str]) -> list[str]:
    """Which of two strategies is the better one, attribute by attribute, by r2 over slices with the lesion."""
    sentences = []
    for one, other in (("1.1", "1.1 as released"), ("1.3", "1.2")):
        if not {one, other} <= set(compared["keys"]):
            continue
        parts = []
        for name in attributes:
            a, b = (_r2({"row": compared["rows"][f"{key}, test"]}, name) for key in (one, other))
            if a is not None and b is not None:
                parts.append(f"{name} {number(a, 2)} against {number(b, 2)} ({'higher' if a > b else 'not higher'})")
        sentences.append(f"{title(one)} against {title(other)}: " + ", ".join(parts) + ".")
    return sentences


def _distances_note(compared: Json, nature: str) -> str:
    baseline = compared["distances"]["real, test"]
    return (f"Frechet and kernel (unbiased MMD², cubic) distance: features of {compared['features']}, {baseline['n']} "
            "images against as many training slices, which are of other patients. The row "
            f'"{shown_name("real, test", nature)}" is the baseline: how far apart two sets are that differ only in '
            "their patients. Training slices against other training slices give "
            f"{number(baseline['floor_frechet'], 4)} and {number(1000 * baseline['floor_kernel'], 2)} x 10⁻³.")


def _regions(compared: Json) -> list[str]:
    return [region for region in compared["rows"]["real, test"]["regions"] if region != "lv_cavity"]


def overlap(compared: Json, names: Sequence[str], lesion: str, nature: str = "", axes: int = 2) -> str:
    """Table 2: Dice and HD of the strategies that get outlines."""
    regions = _regions(compared)
    head = ["images", "n", *(column for region in regions for column in (f"{region} Dice", "HD mm"))]
    lines = [_overlap_line(compared["rows"][f"{key}, {name}"], shown_name(f"{title(key)}, {name}", nature), regions)
             for name in names for key in ("real", *compared["outlined"])]
    return table([*head, f"false {lesion}", f"false {lesion} {sized_phrase(axes)}"], lines)


def _overlap_line(row: Json, name: str, regions: Sequence[str]) -> list[Any]:
    cells: list[Any] = [name, row["slices"]]
    for region in regions:
        cells += [dice_cell(row, region), number(row["regions"][region]["hd_mm"]["mean"], 1)]
    return [*cells, percent(row["false_rate"]), percent(row.get("false_sized"))]


def budgets(compared: Json) -> str:
    """Training steps behind each bundle."""
    lines = []
    for key in compared["keys"]:
        steps = compared["budgets"][key]
        own = {name: count for name, count in steps.items() if name not in ("image-codec", "texture", "diffusion")}
        before = ", ".join(f"{name} {count}" for name, count in own.items())
        lines.append((title(key), compared["bundles"][key], steps.get("diffusion", NOTHING), before,
                      compared["sampling"][key]))
    own_steps = {key: compared["budgets"][key].get("diffusion") for key in compared["keys"] if key != "3"}
    return table(("strategy", "bundle", "steps of the denoiser", "steps before it", "sampling"), lines) + (
        "\n\nAll share the image codec and the texture. Strategies 1.1 to 1.3 were initialised from one unconditional "
        "denoiser, and 2 is built on it. That denoiser was itself fine-tuned from strategy 3's, with the condition "
        f"removed; the trainings are therefore not independent. {_equality(own_steps)}. Strategy 3 had label maps in "
        "all of its steps.")


def _equality(steps: Mapping[str, int | None]) -> str:
    """Whether the strategies had the same number of steps of their own."""
    if len(set(steps.values())) <= 1:
        return "Their own steps are equal"
    return "Their own steps are not all equal: " + ", ".join(f"{title(key)} {count}" for key, count in steps.items())


def _label_vaes(compared: Json, attributes: Sequence[str], lesion: str) -> list[str]:
    """Reconstruction, and how well each regularised dimension predicts its attribute; nothing without such bundles."""
    if not compared["label_vaes"]:
        return []
    head = ["VAE of", f"{lesion} Dice", *(f"{name}: |Spearman|, r2" for name in attributes)]
    lines = []
    for key, figures in compared["label_vaes"].items():
        cells = [title(key), number(figures.get(f"dice_{lesion}"), 3)]
        for name in attributes:
            pair = figures.get(f"spearman_{name}"), figures.get(f"r2_{name}")
            cells.append(NOTHING if None in pair else ", ".join(number(value, 2) for value in pair))
        lines.append(cells)
    return ["### What the VAEs' dimensions mean", table(head, lines),
            "Validation slices. A VAE's dimensions belong to no attribute; the AR-VAE's first ones follow the "
            "attributes in order. Below, label maps along the dimension that predicts an attribute best, while the "
            "others stay at their mean; above each map, the measured value.",
            *(f"![dimensions of {title(key)}]({link})" for key, link in compared["traversals"].items())]


def trade(figures: Json, attributes: Sequence[str], lesion: str, nature: str = "") -> str:
    """Every strategy and setting."""
    head = ("strategy", "setting", *(f"r2 {name}" for name in attributes), f"{lesion} Dice", "MS-SSIM within",
            "feature spread", "latent spread")
    lines = []
    for key, settings in figures["strategies"].items():
        for item in settings:
            row = item["row"]
            r2 = [estimate(row["agreement"].get(name, {}).get("lesion", {}).get("r2")) for name in attributes]
            dice = row["regions"].get(lesion, {}).get("dice", {}).get("mean")
            lines.append((title(key), item["setting"].replace("-", " "), *r2, number(dice, 3),
                          number(item["ssim"]["value"], 3), number(item["feature_spread"], 3),
                          number(item["latent_spread"], 3)))
    different = number(figures["different_slices_ssim"]["value"], 3)
    adjective = cohort_adjective(nature)
    note = (f"{figures['conditions']} slices of {figures['subset']}, {figures['seeds']} seeds each. MS-SSIM within: "
            f"mean over pairs of images of one condition, less is more varied ({adjective} slices of different "
            f"conditions: {different}). Feature spread: variance within a condition over that of the {adjective} "
            "slices' features.")
    widest = [line for key, settings in figures["strategies"].items() if (line := _widest(key, settings, attributes))]
    parts = ["![obedience against variety](figures/trade.png)", note, table(head, lines)]
    return "\n\n".join([*parts, "The most varied setting that costs no r2, by strategy:", "\n".join(widest)])


def _widest(key: str, settings: Sequence[Json], attributes: Sequence[str]) -> str:
    """The setting with the largest feature spread among those that lose no r2 to the best one; nothing where r2 is
    undefined."""
    r2_of = {item["setting"]: [_r2(item, name) for name in attributes] for item in settings}
    defined = [item for item in settings if None not in r2_of[item["setting"]]]
    if not defined:
        return ""
    best = max(defined, key=lambda item: sum(r2_of[item["setting"]]))
    as_good = [item for item in defined
               if all(a >= b - SAME_R2 for a, b in zip(r2_of[item["setting"]], r2_of[best["setting"]], strict=True))]
    widest = max(as_good, key=lambda item: float(item["feature_spread"]))
    spread, other = (number(item["feature_spread"], 3) for item in (widest, best))
    chosen, most = (item["setting"].replace("-", " ") for item in (widest, best))
    if widest is best:
        return f"- {title(key)}: {chosen}, which has the highest r2 too (feature spread {spread})."
    return (f"- {title(key)}: {chosen}, feature spread {spread}; its r2 is within {SAME_R2:g} of that of {most}, the "
            f"best in sum, which has {other}.")


def _r2(item: Json, name: str) -> Any:
    return (item["row"]["agreement"].get(name, {}).get("lesion", {}).get("r2") or {}).get("value")


def realism(figures: Json, nature: str = "") -> str:
    """Two-sample accuracy and copy rate of every strategy."""
    lines = [(title(key), estimate(item["accuracy"]), estimate(item["accuracy_real"]), item["asked"],
              percent(item["copies_pixels"]), percent(item.get("copies_features")), item["searched"])
             for key, item in figures.items()]
    noun, adjective = cohort_noun(nature), cohort_adjective(nature)
    quantile = 100 * next(iter(figures.values()))["quantile"]
    head = ("strategy", "two-sample accuracy", f"{noun} against {noun}", "images", "copies, pixels", "copies, features",
            "images")
    return table(head, lines) + (
        "\n\nTwo-sample accuracy: of a small network that learned to distinguish synthetic slices from "
        f"{adjective} slices, on patients that it has not seen; 0.5 is chance. Copies: share of images that are as "
        "near to one training slice, in any of 8 symmetries, and as far from the others, as "
        f"{quantile:g} % of held-out {adjective} slices are.\n\nThe paper, on patients: {paper.EXPERTS}.")
