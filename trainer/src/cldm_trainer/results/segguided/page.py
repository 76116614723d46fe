"""results-segguided.md, written from the files segguided/*.json beside it alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cldm_runtime.bundle.nature import cohort_adjective
from cldm_runtime.files.atomic import write_text

from ...tables import NOTHING, estimate, number, table

Json = Mapping[str, Any]
FIGURES, PAGE = "segguided", "results-segguided.md"
_HEAD = """\
# Results: segmentation-guided diffusion

Do synthetic images show the label maps they were made from? The evaluation of the paper on segmentation-guided
diffusion (SegGuidedDiff), for every generator here. Dice of each class, a miss counts 0, over the slices that hold the
class. Brackets are 95 % intervals of a bootstrap of patients. A share is a Dice over the segmenter's own on reference
images of the same slices.

The paper's figures, of other images: Dice to the input mask .903 (breast MR) and .898 (CT), to the segmenter's mask of
the original .859 and .880; with mask ablation .659 and .595; SPADE .847 and .877, ControlNet .364 and .113; a segmenter
trained on synthetic images reached .946 and .989 of one trained on real ones."""
_RUN = """\
Domain {domain}; {slices} {adjective} slices of {patients} patients (subset {subset}); segmenter {segmenter}.
Written by `{command}`; every number is also in [{file}]({file})."""
_FREED = """\
One class of the label maps is left free at a time. "Kept" is the Dice of the kept classes minus that with every class
given. "Spread" is the standard deviation of the free class's area, given the areas of the kept ones, over that of the
reference. "Drawn" is the share of images that show the class, and of reference slices."""
_COST = """\
GMAC: billions of multiply-adds. Images a second: networks alone, on the cores of the machine that measured. Training is
that of the denoiser, or of the network that draws the image, without its critic; a step counts as three evaluations."""


def write_page(folder: Path) -> Path:
    """Write the page of every run whose figures lie in the folder."""
    files = sorted((folder / FIGURES).glob("*.json"))
    sections = [_section(json.loads(file.read_text(encoding="utf-8")), f"{FIGURES}/{file.name}") for file in files]
    write_text(folder / PAGE, "\n\n".join([_HEAD, *sections]) + "\n")
    return folder / PAGE


def _section(figures: Json, file: str) -> str:
    adjective = cohort_adjective(figures["nature"])
    parts = [f"## {figures['run']}", _RUN.format(adjective=adjective, file=file, **{
        key: figures[key] for key in ("domain", "slices", "patients", "subset", "segmenter", "command")}),
        "### Faithfulness", _faithfulness(figures), "### Side by side", _COST, _side_by_side(figures),
        *_pairs(figures), *_freed(figures), *_utility(figures), *_pictures(figures), "### Goals", _goals(figures)]
    return "\n\n".join(parts)


def _faithfulness(figures: Json) -> str:
    lines = []
    for name, found in figures["generators"].items():
        faithful = found["faithfulness"]
        for region, of_region in faithful["regions"].items():
            lines.append((name, region, of_region["n"],
                          *(estimate(of_region[key], 3) for key in ("reference", "to_mask", "to_mask_share",
                                                                    "to_original", "to_original_share"))))
        means = faithful["means"]
        lines.append((name, "**mean**", "", estimate(means["reference"], 3), estimate(means["to_mask"], 3), "",
                      estimate(means["to_original"], 3), ""))
    return table(("generator", "class", "slices", "reference images", "to the input mask", "share",
                  "to the mask of the original", "share"), lines)


def _side_by_side(figures: Json) -> str:
    lines = []
    for name, found in figures["generators"].items():
        cost, like, attributes = found["cost"], found["likeness"], found["faithfulness"]["attributes"]
        training = cost["training"]
        r2 = ", ".join(f"{key} {number(value['r2']['value'], 2)}" for key, value in attributes.items())
        lines.append((name, f"{cost['sampler']} {cost['steps']}", _number(cost["gmac"], 1),
                      f"{_number(cost['images_per_second'], 2)} ({cost['cores']} cores)",
                      _number(training["images"], 0), _number(training["gmac"], 0), _number(training["seconds"], 0),
                      r2, f"{_number(like['frechet'], 2)} ({_number(like['floor_frechet'], 2)})",
                      estimate(like["accuracy"], 2)))
    return table(("generator", "sampler, steps", "GMAC an image", "images a second", "training images seen",
                  "training GMAC", "training seconds", "r2 of what is measured", "Frechet distance (floor)",
                  "told from reference images"), lines)


def _pairs(figures: Json) -> list[str]:
    if not figures["compared"]:
        return []
    lines = [(pair["name"], pair["other"], estimate(pair["mean"], 3),
              ", ".join(f"{region} {estimate(value, 3)}" for region, value in pair["regions"].items()))
             for pair in figures["compared"]]
    return ["### Slice by slice", "Dice to the input mask of the first minus that of the other.",
            table(("generator", "other", "mean of the classes", "classes"), lines)]


def _freed(figures: Json) -> list[str]:
    lines = [(name, free, freed["slices"], estimate(freed["kept"], 3), estimate(freed["spread"], 2),
              *(estimate(freed["drawn"][which], 2) for which in ("made", "original")))
             for name, found in figures["generators"].items() for free, freed in found["freed"].items()]
    if not lines:
        return []
    return ["### Free classes", _FREED, table(("generator", "free", "slices", "kept", "spread", "drawn",
                                               "drawn in reference slices"), lines)]


def _utility(figures: Json) -> list[str]:
    if not figures["utility"]:
        return ["### Training on synthetic images", "Not measured: `cldm-train utility` writes it."]
    lines = [(region, *(estimate(kinds[kind]["dice"], 3) for kind in ("reference", "generated", "both")),
              estimate(kinds["generated"]["share"], 3)) for region, kinds in figures["utility"]["regions"].items()]
    made = figures["utility"]["made"]
    return ["### Training on synthetic images",
            f"Dice on reference slices of other patients, {made['sizes']['seeds']} trainings each, by "
            f"`{made['command']}`; images of {made['bundle']}.",
            table(("class", "trained on reference", "on synthetic", "on both", "synthetic over reference"), lines)]


def _pictures(figures: Json) -> list[str]:
    shown = [f"![{name}: {shows}]({file})\n\n{name}: {shows}."
             for name, files in figures.get("pictures", {}).items() for file, shows in files.items()]
    return ["### Pictures", *shown] if shown else []


def _goals(figures: Json) -> str:
    lines = [(goal["goal"], estimate({"value": goal["found"], "low": goal["low"], "high": goal["high"]}, 3),
              goal["wanted"], _verdict(goal)) for goal in figures["goals"]]
    met = sum(goal["met"] for goal in figures["goals"])
    return f"{met} of {len(lines)} are met.\n\n" + table(("goal", "found", "wanted", "met"), lines)


def _verdict(goal: Json) -> str:
    if not goal["met"]:
        return "no"
    return {True: "yes, with its interval", False: "yes, but not its interval", None: "yes"}[goal["sure"]]


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}".replace(",", " ")
