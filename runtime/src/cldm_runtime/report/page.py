"""Writes report.html, scores.csv and scores.json from the measurements in a dataset file.

The page is one file without scripts or outside references: charts and contours are SVG, pixels are PNG, both inline.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..bundle.obedience import stated_obedience, weakness
from ..domains.attributes import Attribute
from ..errors import InputError
from ..evaluation.doubt import read_doubt
from ..evaluation.ensembles import read_ensemble
from ..evaluation.fresh import refuse_stale, unknown_origins
from ..evaluation.label_order import permutation_note, read_permutation
from ..evaluation.pair_response import read_pair_response
from ..evaluation.repeated_conditions import read_uncertainty
from ..evaluation.segmenters.interface import LACKS
from ..evaluation.stand_in import stand_in_notes
from ..evaluation.strata import read_strata
from ..evaluation.summary import Comparison, Samples, Summary, read_samples, summarise_samples
from ..files.atomic import write_text
from ..metrics.overlap import ScoreReason, Scores
from ..metrics.strata import FEWEST
from ..store import DERIVED_FROM, FILTER, FREE_MAPS, MASK_ATTRIBUTES_FROM, Dataset, open_dataset, read_filter
from ..version import __version__
from .charts import bland_altman, histogram, scatter
from .ensembles import ensemble_section
from .filtered import filter_section, filter_sentence
from .gallery import gallery
from .generator import generator_section
from .lesions import doubt_section, lesions_section
from .nature import nature_sentences
from .pair_response import pair_section
from .places import places_section
from .score_files import scores_csv, scores_json
from .strata import strata_section, worst_sentence
from .tables import (
    agreement_table,
    as_title,
    comparisons_made,
    detection_table,
    key_figures,
    number,
    region_table,
    run_table,
    shown_scale,
    shown_unit,
)
from .uncertainty import HOW_TO, uncertainty_section

_REFERENCES = {"mask": "the reference mask", "requested": "what was requested"}
_HIDDEN_RUN_KEYS = ("manifest", "step_table", "plan", "format", "format_version", "complete", "domain", DERIVED_FROM,
                    MASK_ATTRIBUTES_FROM, FILTER, FREE_MAPS)
_LONGEST_RUN_VALUE = 200
Say = Callable[[str], None]  # told what is done next
_INTENDED_USE = ("research on segmentation of medical images: comparing segmenters and finding where they fail. Not a "
                 "medical device, not for diagnosis or treatment; no figure here may guide the care of a patient. "
                 "Results on synthetic images do not replace a validation on images of patients.")


@dataclass(frozen=True)
class ReportFiles:
    """Where the three files were written. notes: what a reader of any figure must know first, in words."""

    html: Path
    csv: Path
    json: Path
    notes: tuple[str, ...] = ()


def write_report(path: str | os.PathLike[str], name: str, folder: str | os.PathLike[str], *, subset: str | None = None,
                 seed: int = 0, annotations: Sequence[str] = (), say: Say = lambda text: None) -> ReportFiles:
    """Report on the segmentation `name` of the dataset at `path`, for all samples or one subset.

    Existing reports in `folder` are replaced. annotations: as of `evaluation.ensembles.read_ensemble`. say: told what
    is done. Raises InputError, and DatasetError also where the measurements are of other images or label maps than the
    file holds now.
    """
    out = Path(folder)
    check_report(path, out, subset, [name])
    written = ReportFiles(out / "report.html", out / "scores.csv", out / "scores.json")
    with open_dataset(path) as dataset:
        say(f"{name}: reading the measurements")
        content = refuse_stale(dataset, name)
        samples = read_samples(dataset, name, subset)
        described = {**describe_run(dataset, name, subset), "content_sha256": content}
        say(f"{name}: figures of {len(samples.attributes)} samples with their intervals")
        summary = summarise_all(dataset, name, samples, described, seed, annotations)
        notes = reading_notes(dataset, name, samples, summary)
        say(f"{name}: drawing the page")
        page = render(dataset, name, samples, summary)
    write_text(written.csv, scores_csv(samples))
    write_text(written.json, scores_json(summary))
    write_text(written.html, page)
    return replace(written, notes=notes)


def summarise_all(dataset: Dataset, name: str, samples: Samples, run: Mapping[str, str | int | float],
                  seed: int = 0, annotations: Sequence[str] = ()) -> Summary:
    """Every figure of scores.json. run: as of `describe_run`."""
    summary = summarise_samples(samples, run, seed)
    manifest = dataset.metadata.get("manifest")
    generator = None if manifest is None else stated_obedience(str(manifest))
    return replace(summary, uncertainty=read_uncertainty(dataset, name, samples, seed),
                   strata=read_strata(samples, seed), generator=generator,
                   generator_weakness="" if generator is None else weakness(generator, samples.domain),
                   label_permutation=read_permutation(dataset, name, samples),
                   doubt=read_doubt(dataset, name, samples, seed),
                   ensemble=read_ensemble(dataset, name, samples, annotations, seed),
                   pairs=read_pair_response(dataset, name, samples, seed))


def reading_notes(dataset: Dataset, name: str, samples: Samples, summary: Summary) -> tuple[str, ...]:
    """What a reader of any figure must know first: what is said of the segmentation, label values that look permuted,
    a generator that falls short of its cohort, and that images were chosen by what a segmenter finds."""
    permutation, chosen = summary.label_permutation, read_filter(dataset.metadata, dataset.path)
    permuted = "" if permutation is None else permutation_note(name, permutation, samples.domain.labels)
    filtered = "" if chosen is None else filter_sentence(chosen)
    return tuple(filter(None, (*segmentation_notes(dataset, name), permuted, summary.generator_weakness, filtered)))


def segmentation_notes(dataset: Dataset, name: str) -> tuple[str, ...]:
    """That it is not known what was measured, and the regions that the segmenter has no label for."""
    lacks = dataset.segmentation(name).metadata.get(LACKS)
    lacking = f"{name} has no label for {lacks}, which it never finds: figures on that mean nothing."
    return (*unknown_origins(dataset, name), *stand_in_notes(dataset, name), *([lacking] if lacks else []))


def check_report(path: str | os.PathLike[str], folder: str | os.PathLike[str], subset: str | None = None,
                 names: Iterable[str] = ()) -> None:
    """Make the folder. Raises InputError if it cannot be written, or if the dataset has no such subset, and
    DatasetError where it lacks one of the segmentations `names`: checked first, because segmenting may take hours."""
    with open_dataset(path) as dataset:
        dataset.rows(subset)
        for name in names:
            dataset.segmentation(name)
    out = Path(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror or error}). Choose another folder.") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(f"{out}: you may not write there. Choose another folder.")


def describe_run(dataset: Dataset, name: str, subset: str | None = None) -> dict[str, str | int | float]:
    """Dataset, segmenter, settings and versions, from the attributes of the file and of the segmentation."""
    run: dict[str, str | int | float] = {"dataset": dataset.path.name, "domain": dataset.domain,
                                         "subset": subset or "all", "samples_in_file": len(dataset)}
    for prefix, metadata in (("dataset", dataset.metadata), ("segmenter", dataset.segmentation(name).metadata)):
        for key, value in metadata.items():
            if key not in _HIDDEN_RUN_KEYS and len(str(value)) <= _LONGEST_RUN_VALUE:
                run[f"{prefix}_{key}"] = value
    return {**run, "segmenter": name, "report_version": __version__}


def render(dataset: Dataset, name: str, samples: Samples, summary: Summary) -> str:
    """The whole page."""
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    title = f"{name} on {dataset.path.name}"
    uncertainty = summary.uncertainty
    notes, chosen = reading_notes(dataset, name, samples, summary), read_filter(dataset.metadata, dataset.path)
    sections = [_head(title, nature_sentences(dataset, name), notes, samples, summary), _overlap(samples, summary),
                lesions_section(summary.lesions), doubt_section(dataset, name, samples, summary.doubt),
                ensemble_section(summary.ensemble), strata_section(summary.strata), _agreement(samples, summary),
                pair_section(summary.pairs, samples.domain.lesion or "lesion"), gallery(dataset, name, samples),
                "" if uncertainty is None else uncertainty_section(dataset, name, samples, uncertainty),
                "" if summary.generator is None else generator_section(summary.generator),
                "" if chosen is None else filter_section(chosen),
                _reading(samples, summary), f"<h2>What was run</h2>{run_table(summary)}"]
    body = "\n".join(sections)
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>\n{style}</style></head>\n<body><main>\n{body}\n</main></body></html>\n")


def _head(title: str, natures: list[str], notes: Sequence[str], samples: Samples, summary: Summary) -> str:
    patients = f" of {summary.n_patients} patients" if summary.n_patients is not None else ""
    tiles = "".join(f'<div class="tile"><span>{escape(label)}</span><b>{escape(value)}</b><small>{escape(detail)}'
                    "</small></div>" for label, value, detail in key_figures(samples, summary))
    warnings = "".join(f'<p class="warning">{escape(note[:1].upper() + note[1:])}</p>' for note in notes)
    worst = f'<p class="worst">{escape(worst_sentence(summary.strata))}</p>' if summary.strata else ""
    return (f'<header><h1>Segmentation report</h1><p class="nature">{escape(" ".join(natures))}</p>{warnings}'
            f'<p class="notice">Intended use: {_INTENDED_USE}</p><p class="lead">{escape(title)}: {summary.n_samples} '
            f'samples{patients}</p>{worst}<p>Compared: {escape(comparisons_made(samples, summary))}.</p>'
            f'</header><div class="tiles">{tiles}</div>')


def _overlap(samples: Samples, summary: Summary) -> str:
    if samples.scores is None:
        detection = "" if summary.detection is None else (
            f"<h3>Found and missed</h3><p>The segmentation against {_REFERENCES[summary.detection.reference]}.</p>"
            f"{detection_table(summary.detection)}")
        return ("<h2>Overlap and distances</h2><p>The file holds no reference masks, so overlap and distances cannot "
                f"be measured.</p>{detection}")
    charts = "".join(f"<figure>{_dice_histogram(samples.scores, region)}</figure>"
                     for region in samples.domain.labels.regions)
    return ("<h2>Overlap and distances</h2><p>Segmentation against the reference mask, region by region. Mean with "
            "standard deviation, median with quartiles below.</p>"
            f'{region_table(summary)}<div class="charts">{charts}</div>')


def _dice_histogram(scores: Scores, region: str) -> str:
    """Histogram over the samples whose reference holds the region, as the mean in the table."""
    in_reference = scores.why(f"{region}_hd_mm") != ScoreReason.REFERENCE_EMPTY
    return histogram(scores[f"{region}_dice"][in_reference].astype(np.float64), f"Dice, {as_title(region)}")


def _agreement(samples: Samples, summary: Summary) -> str:
    parts = ["<h2>Measured attributes</h2>", _legend(samples)]
    for measured, reference in (("segmentation", "mask"), ("segmentation", "requested"), ("mask", "requested")):
        chosen = [c for c in summary.comparisons if (c.measured, c.reference) == (measured, reference)]
        if not chosen:
            continue
        who = "Attributes of the segmentation" if measured == "segmentation" else "Attributes of the mask"
        parts.append(f"<h3>{who} against {_REFERENCES[reference]}</h3>{agreement_table(chosen)}")
        if measured == "segmentation":
            parts.append(_charts(samples, chosen))
    parts.append(places_section(summary.places, _REFERENCES))
    if not summary.comparisons:
        parts.append("<p>The file holds neither masks nor requested attributes to compare with.</p>")
    return "".join(parts)


def _legend(samples: Samples) -> str:
    points = ""
    if samples.with_lesion is not None:
        lesion = escape(as_title(samples.domain.lesion or "").lower())
        source = "mask" if samples.lesion_reference == "mask" else "request"
        points = (f'<span class="key" style="background:#b4442f"></span>{source} with {lesion}&emsp;'
                  f'<span class="key" style="background:#8f9aa5"></span>{source} without {lesion}&emsp;')
    return (f'<p class="note">{points}dashed grey: perfect agreement&emsp;blue: regression line, and bias with limits '
            "of agreement; bands are their 95 % intervals</p>")


def _charts(samples: Samples, comparisons: list[Comparison]) -> str:
    figures = []
    for column, attribute in enumerate(samples.domain.attributes):
        comparison = next((c for c in comparisons if c.attribute == attribute.name and c.samples == "all"), None)
        if comparison is not None:
            figures.append(_attribute_charts(samples, column, attribute, comparison))
    return f'<div class="charts">{"".join(figures)}</div>'


def _attribute_charts(samples: Samples, column: int, attribute: Attribute, comparison: Comparison) -> str:
    table = samples.mask if comparison.reference == "mask" else samples.requested
    assert table is not None
    x, y = table[:, column].astype(np.float64), samples.attributes[:, column].astype(np.float64)
    marked = np.ones(len(x), dtype=bool) if samples.with_lesion is None else samples.with_lesion
    scale, unit = shown_scale(attribute.unit), shown_unit(attribute.unit)
    title = as_title(attribute.name)
    labels = (f"{comparison.reference} ({unit})", f"segmentation ({unit})")
    r2 = comparison.agreement.r2.value
    caption = f"{title}: r² {number(r2, 2)}, n = {comparison.agreement.n}"
    return (f'<figure class="pair"><figcaption>{escape(caption)}</figcaption>'
            f"{scatter(x, y, marked, comparison.agreement, labels, scale)}"
            f"{bland_altman(x, y, marked, comparison.agreement, unit, scale)}</figure>")


def _reading(samples: Samples, summary: Summary) -> str:
    entries = {
        "Dice": "Overlap of two regions, 0 to 1. The mean runs over samples whose reference holds the region; a missed "
                "region counts 0. “With absence” runs over all samples: agreeing that a region is absent counts 1, "
                "finding one that is not there counts 0.",
        "HD, HD95, ASSD": "Largest, 95th percentile and mean distance between the borders of the two regions in mm, "
                          "over samples where both hold the region. Undefined distances are left out, never counted "
                          "as 0.",
        "Reference mask": "The label map in /masks: what a synthetic image was made from, the truth of a phantom, or "
                          "what was drawn in a patient's image. What a reader drew of a phantom (/annotations) scores "
                          "nothing.",
        "Worst": "The bin with the lowest mean Dice of all bins of all attributes (where no Dice is known: with the "
                 f"most misses) in which at least {FEWEST} samples hold the region. The lowest of many bins is low "
                 "partly by chance: compare its interval with those of the others.",
        "r²": "Squared correlation. It is blind to a constant bias and to scale, and grows with the range of the "
              "reference: read it with slope, bias and ICC. Samples without the lesion raise it, so it is given twice.",
        "Slope, bias": "Slope of the regression of the measurement on the reference (1 is right); mean difference, "
                       "measurement minus reference (0 is right).",
        "Limits": "Limits of agreement: 95 % of differences lie between them if differences are normally distributed.",
        "ICC": "ICC(2,1), absolute agreement: bias lowers it too.",
        "Excluded": "Pairs where the attribute is undefined in the reference, or in the segmentation alone.",
        "Intervals": f"95 % intervals of a bootstrap over {summary.unit}s ({summary.replicates} replicates, seed "
                     f"{summary.seed}). Of rates over single samples, and of rates of 0 or 1, Wilson's.",
    }
    if samples.requested is not None:
        entries["Requested"] = ("Agreement with the request joins the errors of generator and segmenter. To see the "
                                "segmenter's share, evaluate it on images that no network made.")
    if summary.uncertainty is None and samples.sample_index is not None:
        entries["Uncertainty"] = HOW_TO
    listed = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in entries.items())
    return f"<h2>How to read this</h2><dl>{listed}</dl>"
