"""docs/results.md, written from docs/results.json alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from cldm_runtime.bundle.nature import cohort_adjective, cohort_noun, cohort_possessive

from ..audit.judging_page import judges_section
from ..audit.spread_page import spread_section
from ..tables import NOTHING, dice_cell, estimate, number, percent, table
from .cldm.strategy_page import strategies_text
from .lesion_size import sized_phrase
from .names import shown_name
from .validity.page import validity_section

Json = Mapping[str, Any]
VERSION = 2  # of results.json; 1 had one-sided goals, and intervals of rates by slice

_EARLIER = """\
**These figures were measured by an earlier version**, whose brackets of rates count every slice and seed as
independent, whose goals were met by images that are too easy, and which had no rate of sized lesions. A dash is what
it did not measure. Measure again: `cldm-train results`."""

_INTRODUCTION = """\
# Results

![{noun} and synthetic slices for the same label maps](montage.png)

Written by `{command}` in {minutes:.0f} minutes of computing on {cpu} ({cores} cores); every number is also in
[results.json](results.json), from the same run. {versions}.

Generator `{generator}`, segmenter `{segmenter}`. Sampling: {sampling}. {cohort}

How to read them: r2 is the squared correlation between the attribute measured on the segmentation and on the label map
(docs/attributes.md). It is given twice, over all slices and over slices with {lesion}, because slices without {lesion}
inflate it. Brackets are 95 % bootstrap intervals, drawn by patient where there are patients: the slices of a patient,
and the seeds of a slice, fall together. Slope, bias and ICC (absolute agreement) are those of the slices with {lesion}.
Dice is the mean over slices with the region; HD is the mean Hausdorff distance. "False" is the share of slices without
{lesion} in which the segmenter detects some: a single pixel, or a lesion {sized}.

Names of the sets: "{noun}" are the cohort's slices, "reconstructed" are these slices after the image codec, and
"synthetic" are generated images for their label maps. {subsets} are the cohort's subsets.{d8}"""
_COHORT = {
    "phantom": """The cohort is the built-in
phantom, which the program draws; no patient is in it. Read these figures as what the method does on that cohort, not as
figures of patients.""",
    "patients": "The cohort is images of patients.",
}
_D8 = """ `d8`
imitates the paper's second test set: patients eight days after the event, with larger lesions and
microvascular obstruction (mvo)."""


def results_page(figures: Json) -> str:
    """The whole page."""
    run, nature = figures["made"], figures.get("nature", "")
    seconds = [(shown_name(step, nature), value) for step, value in run["seconds"].items()]
    parts = [
        _introduction(figures, nature),
        *([] if figures.get("version", 1) >= VERSION else [_EARLIER]),
        *([validity_section(figures["validity"])] if figures.get("validity") else []),
        *([strategies_text(figures)] if figures.get("strategies") else []),
        *(["## Students and their teachers\n\n" + students_text(figures)] if figures.get("students") else []),
        *([judges_section(figures["judges"])] if figures.get("judges") else []),
        *([spread_section(figures["spread"])] if figures.get("spread") else []),
        "## Goals\n\n" + goals_table(figures["goals"]),
        "## Segmenter against label map\n\n"
        + agreement_table(figures["sets"], figures["attributes"], figures["lesion"], nature),
        "## Overlap\n\n" + overlap_table(figures["sets"], figures["lesion"], nature, figures.get("axes", 2)),
        _sets_text(figures),
        "![measured against true attributes](figures/agreement.png)",
        "## Texture\n\n" + texture_text(figures),
        "## Requested attributes\n\n" + grid_text(figures),
        "![requested against measured attributes](figures/grid.png)",
        *(["## Uncertainty\n\n" + uncertainty_text(figures["uncertainty"])] if figures.get("uncertainty") else []),
        "## Time\n\n" + table(("step", "seconds"), seconds),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(figures: Json, nature: str) -> str:
    """The head of the page: how it was made, what the cohort is, and what the names mean."""
    names = [str(row["set"]).removeprefix("real, ") for row in figures["sets"] if row["set"].startswith("real, ")]
    subsets = [f"`{name}`" for name in names if "," not in name and " without " not in name]
    return _INTRODUCTION.format(
        lesion=figures["lesion"], sized=sized_phrase(figures.get("axes", 2)), noun=cohort_noun(nature),
        subsets=" and ".join(filter(None, [", ".join(subsets[:-1]), subsets[-1]])),
        cohort=_COHORT.get(nature, "What the images of the cohort are is not stated."),
        d8=_D8 if nature == "phantom" and "d8" in names else "", **figures["made"])


def goals_table(goals: Sequence[Json]) -> str:
    """Every goal with what was found."""
    rows = [(g["goal"], estimate({"value": g["found"], "low": g.get("low"), "high": g.get("high")}, 3), g["wanted"],
             _met(g)) for g in goals]
    met, sure = (sum(bool(g.get(key)) for g in goals) for key in ("met", "sure"))
    known = any(g.get("sure") is not None for g in goals)
    surely = f"; of {sure} the whole interval lies within the limits" if known else ""
    return f"{met} of {len(goals)} are met{surely}.\n\n" + table(("goal", "found", "wanted", "met"), rows)


def _met(goal: Json) -> str:
    if not goal["met"]:
        return "**no**"
    return "by the figure, not its interval" if goal.get("sure") is False else "yes"


def agreement_table(sets: Sequence[Json], attributes: Sequence[str], lesion: str, nature: str = "") -> str:
    """r2 twice, slope, bias and ICC of every set and attribute."""
    head = ("images", "attribute", "r2, all slices", f"r2, {lesion} slices", "slope", "bias", "ICC",
            f"slices ({lesion})")
    rows = []
    for row in sets:
        for name in attributes:
            whole, lesions = (row["agreement"].get(name, {}).get(kind, {}) for kind in ("all", "lesion"))
            counts = f"{whole.get('n', 0)} ({lesions.get('n', 0)})"
            rows.append((shown_name(row["set"], nature), name, estimate(whole.get("r2")), estimate(lesions.get("r2")),
                         estimate(lesions.get("slope")), estimate(lesions.get("bias"), 3), estimate(lesions.get("icc")),
                         counts))
    return table(head, rows)


def overlap_table(sets: Sequence[Json], lesion: str, nature: str = "", axes: int = 2) -> str:
    """Dice and Hausdorff distance of every region, false detections of the lesion."""
    regions = list(sets[0]["regions"])
    measures = [f"{region}, {measure}" for region in regions for measure in ("Dice", "HD mm")]
    head = ("images", "slices", "patients", *measures, f"false {lesion}", f"false {lesion} {sized_phrase(axes)}")
    rows = []
    for row in sets:
        cells = []
        for region in regions:
            cells += [dice_cell(row, region), number(row["regions"][region]["hd_mm"]["mean"], 1)]
        rows.append((shown_name(row["set"], nature), row["slices"], row["patients"] or NOTHING, *cells,
                     percent(row["false_rate"]), percent(row.get("false_sized"))))
    return table(head, rows)


def students_text(figures: Json) -> str:
    """Each student beside its teacher, on the same slices and seed."""
    head = ("student", "teacher", "attribute", "n", "r2: student", "teacher", "difference", "slope: student", "teacher",
            "bias: student", "teacher")
    rows = []
    for pair in figures["students"]:
        for name, item in pair["attributes"].items():
            both = [item[who] for who in ("student", "teacher")]
            rows.append((pair["student"], pair["teacher"], name, item["difference"]["n"],
                         *(estimate(figure["r2"]) for figure in both), estimate(item["difference"]["r2"], 3),
                         *(estimate(figure["slope"]) for figure in both),
                         *(estimate(figure["bias"], 3) for figure in both)))
    return ("The same test slices and one seed. The difference is that of r2, student minus teacher, with the same "
            "patients drawn for both.\n\n" + table(head, rows))


def _sets_text(figures: Json) -> str:
    sizes = figures["made"]["sizes"]
    return (
        f"Training slices: at most {sizes['train']}, evenly picked. Reconstructions and synthetic images use the masks "
        f'of every test slice and of at most {sizes["other"]} evenly picked slices of any other subset; "the same '
        f'slices" is the segmenter on exactly those. Each test mask gives {sizes["seeds"]} synthetic images, with '
        'different seeds. "Reconstructed without noise" has zeros instead of the decoder\'s noise. Slope and bias '
        "belong to the slices with " + str(figures["lesion"]) + "." + "".join(
            f' "{name} without {label}": the slices of {name} whose mask has no {label}; goals are set for those.'
            for name, label in figures["without"].items()
        )
    )


def texture_text(figures: Json) -> str:
    """Texture at the default number of steps, and at others."""
    texture, reconstruction = figures["texture"], figures["reconstruction_texture"]
    noun, adjective = (name(figures.get("nature", "")) for name in (cohort_noun, cohort_adjective))
    lines = [
        table(
            ("images", f"high-frequency energy over {noun}", f"latent spread over {noun}", "re-encoded", "Frechet",
             "floor"),
            [
                ("reconstructed, without noise", number(reconstruction["mean"], 2), "", "", "", ""),
                ("reconstructed", number(reconstruction["textured"], 2), "", "", "", ""),
                ("synthetic", *_texture_cells(texture)),
            ],
        ),
        "High-frequency energy: share of a slice's power above 0.25 cycles/mm. Latent spread: standard deviation of "
        f"the sampled latents over that of the {adjective} slices' latents, mean of the channels; re-encoded: the same "
        "after decoding and encoding. Frechet: distance between features of the segmenter's encoder, "
        f"{texture['frechet']['slices']} synthetic against as many {adjective} slices; the floor is the distance "
        f"between two disjoint {noun} sets of that size.",
        "Fewer sampling steps shrink samples towards the conditional mean: r2 and Dice rise and the Frechet distance "
        "falls, while texture is lost. Test masks, one seed:",
        _trials_table(figures, "steps"),
    ]
    if figures["guidance"]:
        lines += [
            "Classifier-free guidance pushes samples towards their label map and away from what is likely without it. "
            "Weight 1 is no guidance. Test masks, one seed:",
            _trials_table(figures, "guidance"),
        ]
    return "\n\n".join(lines)


def _texture_cells(texture: Json) -> tuple[str, ...]:
    spread, again = texture["latent_spread"], texture["latent_spread_reencoded"]
    frechet = texture["frechet"]
    ratio = number(texture["high_frequency_ratio"], 2)
    return ratio, number(spread, 3), number(again, 3), number(frechet["distance"], 3), number(frechet["floor"], 3)


def _trials_table(figures: Json, kind: str) -> str:
    """A row for each trial of a kind: "steps" or "guidance"."""
    attributes, lesion = figures["attributes"], figures["lesion"]
    head = (
        kind,
        *(f"r2 {name}" for name in attributes),
        f"{lesion} Dice",
        "high frequency",
        "latent spread",
        "re-encoded",
        "Frechet",
        "floor",
        f"false {lesion}",
    )
    rows = []
    for item in figures[kind]:
        by_name = item["row"]["agreement"]
        agreement = [estimate(by_name.get(name, {}).get("lesion", {}).get("r2")) for name in attributes]
        overlap = number(item["row"]["regions"][lesion]["dice"]["mean"], 3)
        false = percent(item["row"]["false_rate"])
        rows.append((item[kind], *agreement, overlap, *_texture_cells(item["texture"]), false))
    return table(head, rows) + f"\n\nr2 over slices with {lesion}."


def uncertainty_text(figures: Json) -> str:
    """Spread over the images of a condition against the error of their mean."""
    head = ("attribute", "slices", "conditions", "spread", "error of the mean", "error / predicted", "rank correlation")
    rows = [(item["attribute"], item["samples"], item["n"], estimate(item["rms_spread"], 3),
             estimate(item["rms_error"], 3), estimate(item["ratio"]), estimate(item["rho"]))
            for item in figures["attributes"]]
    low, high = figures["images_low"], figures["images_high"]
    lines = [
        f"{figures['n_conditions']} test slices with {low if low == high else f'{low} to {high}'} synthetic "
        "images each, which differ only in their noise (docs/metrics.md). Spread: standard deviation of the measured "
        "attribute within a condition. Error / predicted: 1 where the spread predicts how large the error is. "
        "Rank correlation: whether the spread predicts which conditions have the larger errors.",
        table(head, rows)]
    pixels = figures["pixels"]
    if pixels is not None:
        lines.append(f"Pixels: the disagreement of the segmentations differs from the error rate by "
                     f"{estimate(pixels['calibration_error'], 3)} on average; in "
                     f"{percent(pixels['unanimous_wrong'])} of the wrong pixels all segmentations agree.")
    return "\n\n".join([*lines, "![spread against error](figures/uncertainty.png)"])


def grid_text(figures: Json) -> str:
    """Requested against measured, and where the error comes from."""
    grid, lesion = figures["grid"], figures["lesion"]
    rows = []
    for part, by_attribute in grid["parts"].items():
        for name in grid["attributes"]:
            whole, lesions = (by_attribute.get(name, {}).get(kind, {}) for kind in ("all", "lesion"))
            slope, bias = estimate(lesions.get("slope")), estimate(lesions.get("bias"), 3)
            rows.append(
                (part, name, estimate(whole.get("r2")), estimate(lesions.get("r2")), slope, bias, lesions.get("n", 0))
            )
    split = [
        (name, number(item["segmenter"], 3), number(item["generator"], 3), number(item["both"], 3))
        for name, item in grid["split"].items()
    ]
    return "\n\n".join(
        [
            f"{grid['slices']} images of examples/grid.csv, as `cldm-gen` makes them: attributes to anatomy to image. "
            f"False {lesion}: {percent(grid['false_rate'])}.",
            table(("from, to", "attribute", "r2, all", f"r2, {lesion} only", "slope", "bias", f"n ({lesion})"), rows),
            f"Where the error comes from: standard deviation of segmentation minus mask, over slices with {lesion}. "
            f"The segmenter's part is its error on the {cohort_possessive(figures.get('nature', ''))} test slices. The "
            "generator's part is the rest of the error on these images, if the two are independent.",
            table(("attribute", "segmenter", "generator", "both"), split),
        ]
    )
