"""augmentation.md, written from augmentation.json alone."""

from cldm_runtime.bundle.nature import cohort_adjective

from ...tables import estimate, number, table
from ..lesion_size import sized_phrase
from ..validity.prediction import Json
from .figures import ALL, SMALL, TOP_PIXELS

_TEXT = """\
One small segmenter ({network}, {steps} steps of {batch_size} images, {precision}) was trained {seeds} times on each
set: {slices} {adjective} slices of {patients} patients, alone or with generated images. It was tested on {test_slices}
{adjective} slices of {test_patients} other patients. {generated} Usual augmentation mirrors, turns by right angles and
changes intensities a little; the sets with generated images have it too. Brackets are 95 % intervals of a bootstrap of
patients; differences are against usual augmentation, on the same slices. "Single trainings" are the values of each."""
_GENERATED = {
    True: "{generator} painted another {lesion} into each slice; the rest of the image stayed as it was.",
    False: "{generator} made images of the label maps of these slices, with another {lesion} in each."}
_FILTER = """\
Filtered images meet `{rule}`, as {judge} reads them, within {tries} tries. Generator and judge are bundles: they may
have learned from more patients than the {patients} here, so the gain is that of having such bundles, not of
{slices} slices alone."""
_DETECTION = """\
Detection: the score of a slice is the mean probability of {lesion} over the {top} pixels where it is most probable.
Sensitivity is taken where {rate:.1%} of the {healthy} slices without {lesion} are called positive: the share in which
the segmenter with usual augmentation finds {lesion} {sized}."""
_NO_HEALTHY = "No tested slice is without {lesion}, so detection cannot be measured."


def augmentation_page(figures: Json) -> str:
    """The whole page."""
    made, lesion = figures["made"], figures["lesion"]
    sizes = {**made["learned"], "test_slices": made["tested"]["slices"], "test_patients": made["tested"]["patients"]}
    generated = _GENERATED[figures["painted"]].format(generator=made["generator"], lesion=lesion)
    text = _TEXT.format(**{key: made["segmenter"][key] for key in ("network", "steps", "batch_size")}, **sizes,
                        precision=made["precision"], seeds=made["seeds"], generated=generated,
                        adjective=cohort_adjective(figures["nature"]))
    chosen = _FILTER.format(rule=made["rule"], judge=made["judge"], tries=made["tries"], **made["learned"])
    detection = _NO_HEALTHY.format(lesion=lesion) if figures["false_rate"] is None else _DETECTION.format(
        lesion=lesion, top=TOP_PIXELS, rate=figures["false_rate"], healthy=figures["healthy"],
        sized=sized_phrase(made["axes"]))
    parts = ["## Do generated images help a segmenter that has few slices?", text, chosen, detection]
    for group, title in ((ALL, f"All slices with {lesion}"),
                         (SMALL, f"Slices whose {lesion} is below {figures['small_below']:.0%}")):
        found = figures["groups"][group]
        parts += [f"### {title}: {found['n']} of {found['patients']} patients", _rows(figures, found["sets"])]
    written = f"Written by `{made['command']}`; every number is also in [augmentation.json](augmentation.json).\n"
    return "\n\n".join([*parts, written])


def _rows(figures: Json, sets: Json) -> str:
    names = [f"dice_{figures['lesion']}", *(f"dice_{region}" for region in figures["regions"]
                                            if region != figures["lesion"]), "sensitivity", "auc"]
    titles = {"auc": "AUC", "sensitivity": "sensitivity"}
    lines = []
    for figure in names:
        for name, found in sets.items():
            values = found[figure]
            difference = "" if name == figures["baseline"] else estimate(values["difference"], 3)
            lines.append((titles.get(figure, figure.replace("dice_", "Dice, ").replace("_", " ")),
                          _title(name, figures), estimate(values, 3), difference,
                          ", ".join(number(seed, 3) for seed in values["seeds"])))
    return table(("figure", "learned from", "mean", "difference", "single trainings"), lines)


def _title(name: str, figures: Json) -> str:
    if name in figures["generated"]:
        kind, _, ratio = name.rpartition("-")
        counted = figures["generated"][name]
        return f"{ratio}:1 generated, {kind} ({counted['kept']} of {counted['asked']})"
    return {"nothing": "slices alone, no augmentation", "usual": "slices alone, usual augmentation"}[name]
