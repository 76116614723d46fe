"""utility.md, written from utility.json alone."""

from cldm_runtime.bundle.nature import cohort_adjective

from ...tables import estimate, number, table
from .figures import BOTH, GENERATED, KINDS, REFERENCE, Json

GOAL = 0.95  # of the Dice of training on reference slices
_TEXT = """\
One small segmenter ({network}, {steps} steps of {batch_size} images) was trained on {train} {adjective} slices, on the
images that {generator} made for their label maps, and on both, {seeds} times each. All were tested on {test}
{adjective} slices of {patients} other patients. Dice of a slice is the mean over the trainings; of a region, slices
that hold it count. Brackets are 95 % intervals of a bootstrap of patients, comparisons are slice by slice. "Single
trainings" are the means of each."""
_NAMES = {REFERENCE: "the cohort's", GENERATED: "generated", BOTH: "both"}


def utility_page(figures: Json) -> str:
    """The whole page."""
    made, adjective = figures["made"], cohort_adjective(figures["nature"])
    text = _TEXT.format(adjective=adjective, **made["sizes"], **made["segmenter"])
    written = f"Written by `{made['command']}`; every number is also in [utility.json](utility.json).\n"
    return "\n\n".join(["## Does a segmenter learn from generated images?", text, _table(figures), _goal(figures),
                        written])


def _table(figures: Json) -> str:
    lines = []
    for region, kinds in figures["regions"].items():
        for kind in KINDS:
            found = kinds[kind]
            compared = ["", ""] if kind == REFERENCE else [estimate(found[name], 3) for name in ("difference", "share")]
            lines.append((region, _NAMES[kind], found["n"], estimate(found["dice"], 3), *compared,
                          ", ".join(number(seed, 3) for seed in found["seeds"])))
    return table(("region", "trained on", "slices", "Dice", "difference", "share", "single trainings"), lines)


def _goal(figures: Json) -> str:
    shares = {region: kinds[GENERATED]["share"]["value"] for region, kinds in figures["regions"].items()}
    short = [region for region, share in shares.items() if share is None or share < GOAL]
    verdict = f"missed for {', '.join(short)}" if short else "met for every region"
    return f"Goal: generated images alone give at least {GOAL:.0%} of the Dice of the cohort's. It is {verdict}."
