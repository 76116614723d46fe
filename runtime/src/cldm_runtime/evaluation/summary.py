"""From the measurements in a dataset file to the figures of the report. Nothing is written here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.obedience import Obedience
from ..domains.attributes import Reason
from ..domains.domain import Domain
from ..errors import DatasetError
from ..files.records import without_nan
from ..metrics.agreement import Agreement, Estimate, agreement
from ..metrics.doubt import RegionDoubt
from ..metrics.energy import RegionEnsemble
from ..metrics.label_order import LabelPermutation
from ..metrics.lesions import LesionSummary, summarise_lesions
from ..metrics.overlap import DEFINITION, RegionSummary, ScoreReason, Scores, summarise
from ..metrics.pair_response import PairResponse
from ..metrics.strata import Bootstrap, Strata
from ..metrics.uncertainty import Uncertainty
from ..store import Dataset, Segmentation
from .places import PlaceComparison, compare_places, places_json
from .stand_in import mask_attributes_for
from .value_tables import NOTHING, ValueTables

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMAT = "cldm-scores"
FORMAT_VERSION = 1
REPLICATES = 1000
ALL = "all"

AttributeTable = NDArray[np.float32]  # (N, A), NaN where undefined


@dataclass(frozen=True)
class Samples:
    """The data of every reported sample except its images and label maps, row by row.

    rows: row of each sample in the file. attributes: measured on the segmentation; `reasons` says why one is NaN.
    requested: the requested attributes; mask: those measured on the mask; None if the file has none. with_lesion:
    whether the mask holds the domain's lesion or, in a file without masks, the request does; None if neither is known.
    imaging: attributes of the images; places: where the lesions lie.
    """

    domain: Domain
    rows: NDArray[np.int64]
    attributes: AttributeTable
    reasons: NDArray[np.uint8]
    requested: AttributeTable | None
    mask: AttributeTable | None
    scores: Scores | None
    with_lesion: NDArray[np.bool_] | None
    patients: NDArray[np.str_] | None
    slices: NDArray[np.int64] | None
    subset: NDArray[np.str_] | None
    grid_row: NDArray[np.int64] | None
    sample_index: NDArray[np.int64] | None
    condition: NDArray[np.int64] | None = None
    imaging: ValueTables = NOTHING
    places: ValueTables = NOTHING

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def clusters(self) -> tuple[str, NDArray[np.generic] | None]:
        """The unit that a bootstrap resamples as a whole, because its samples are correlated, and (N,) the unit of each
        sample."""
        names_of = {"patient": self.patients, "condition": self.condition}
        return next(((unit, names) for unit, names in names_of.items() if names is not None), ("sample", None))

    @property
    def lesion_reference(self) -> str | None:
        """The source of `with_lesion`: mask or requested; None if it is unknown."""
        if self.with_lesion is None:
            return None
        on_masks = self.scores is not None or _lesion_size(self.domain, self.mask) is not None
        return "mask" if on_masks else "requested"


@dataclass(frozen=True)
class Detection:
    """The domain's lesion in `reference` ("mask" or "requested") and in the segmentation. Of the `n_with` samples with
    a lesion, `n_missed` have none in the segmentation. Of the `n_without` samples without, `n_false` have one there."""

    region: str
    reference: str
    n_with: int
    n_missed: int
    n_without: int
    n_false: int
    missed_rate: Estimate
    false_rate: Estimate


@dataclass(frozen=True)
class Comparison:
    """Agreement of one attribute of `measured` ("segmentation" or "mask") with that of `reference` ("mask" or
    "requested"), over `samples`: "all", or "<lesion> only"."""

    attribute: str
    unit: str
    measured: str
    reference: str
    samples: str
    agreement: Agreement


@dataclass(frozen=True)
class Summary:
    """The content of scores.json. `run`: bundles, settings, versions. `regions` and `false_detections` are against
    masks, and empty without masks. unit: what the bootstrap resamples: patient, condition or sample. uncertainty: None
    if no condition has several samples. strata: None without a reference. generator: what the bundle of generated
    images states, None for a cohort; generator_weakness: where it falls short of its cohort, "" if nowhere.
    label_permutation: None if the label values look right. lesions: by lesion, for volumes with nested regions. doubt:
    of a segmenter that gives a variance. ensemble: where the label maps that it drew are kept. pairs: None without
    pairs. places: where the lesions lie."""

    run: Mapping[str, str | int | float]
    n_samples: int
    n_patients: int | None
    regions: tuple[RegionSummary, ...]
    false_detections: Mapping[str, Estimate]
    detection: Detection | None
    comparisons: tuple[Comparison, ...]
    seed: int
    replicates: int = REPLICATES
    unit: str = "sample"
    uncertainty: Uncertainty | None = None
    strata: Strata | None = None
    generator: Obedience | None = None
    generator_weakness: str = ""
    label_permutation: LabelPermutation | None = None
    lesions: tuple[LesionSummary, ...] = ()
    doubt: tuple[RegionDoubt, ...] = ()
    ensemble: tuple[RegionEnsemble, ...] = ()
    pairs: PairResponse | None = None
    places: tuple[PlaceComparison, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, None for NaN; the keys are part of the format."""
        document = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "metric_definition": DEFINITION, "run": dict(self.run),
            "counts": {"samples": self.n_samples, "patients": self.n_patients},
            "bootstrap": {"unit": self.unit, "replicates": self.replicates, "seed": self.seed, "level": 0.95},
            "regions": [asdict(region) for region in self.regions],
            "false_detections": {region: asdict(rate) for region, rate in self.false_detections.items()},
            "detection": _record(self.detection), "agreement": [_flat(each) for each in self.comparisons],
            "uncertainty": _record(self.uncertainty), "strata": _record(self.strata),
            "generator": self.generator and {**asdict(self.generator), "weakness": self.generator_weakness},
            "label_permutation": _record(self.label_permutation),
            **{name: [asdict(region) for region in regions] for name, regions in (
                ("lesions", self.lesions), ("doubt", self.doubt), ("ensemble", self.ensemble)) if regions},
            **({"pairs": asdict(self.pairs)} if self.pairs else {}), **places_json(self.places),
        }
        return dict(without_nan(document))


def read_samples(dataset: Dataset, name: str, subset: str | None = None) -> Samples:
    """All measurements of the segmentation `name`, for one subset of the file or for all of it.

    Raises DatasetError if it was not measured, InputError for a subset that the file does not have.
    """
    segmentation = dataset.segmentation(name)
    attributes, reasons = segmentation.attributes, segmentation.attribute_reasons
    if attributes is None or reasons is None:
        raise DatasetError(f"{dataset.path}: segmentation {name!r} is not measured. Run cldm measure {dataset.path}.")
    rows = dataset.rows(subset)
    domain = dataset.load_domain()
    scores = _scores(segmentation, rows)

    def chosen(values: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if values is None else values[rows]

    requested, mask = chosen(dataset.requested), chosen(mask_attributes_for(dataset, name))
    return Samples(
        domain, rows, attributes[rows], reasons[rows], requested, mask, scores,
        _with_lesion(scores, _lesion_size(domain, mask, requested), domain), chosen(dataset.patients),
        chosen(dataset.slices), chosen(dataset.subset), chosen(dataset.grid_row), chosen(dataset.sample_index),
        chosen(dataset.condition), ValueTables(*map(chosen, (
            dataset.image_requested, dataset.image_attributes, segmentation.image_attributes,
            segmentation.image_attribute_reasons))), ValueTables(*map(chosen, (
                dataset.place_requested, dataset.place, segmentation.place, segmentation.place_reasons))))


def summarise_samples(samples: Samples, run: Mapping[str, str | int | float], seed: int = 0,
                      replicates: int = REPLICATES) -> Summary:
    """All summary figures except those of uncertainty. The bootstrap resamples patients if the file names them, else
    conditions if it names those, else samples."""
    regions = () if samples.scores is None else summarise(samples.scores)
    draw = Bootstrap(samples.clusters[1], replicates, seed)
    rates = {region.region: _rate(outcome(samples, region.region), ("false", "absent"), draw) for region in regions}
    patients = None if samples.patients is None else len(np.unique(samples.patients))
    compared = compare(samples, seed, replicates)
    return Summary(run, len(samples), patients, regions, rates, detect(samples, draw), compared, seed,
                   replicates, samples.clusters[0], places=compare_places(samples.domain, samples.places),
                   lesions=() if samples.scores is None else summarise_lesions(samples.scores, samples.clusters[1]))


def _rate(words: Sequence[str], of: tuple[str, str], draw: Bootstrap) -> Estimate:
    """The share of the first of two outcomes in both."""
    outcomes = np.asarray(words, dtype=str)
    return draw.rate(outcomes == of[0], np.isin(outcomes, of))


def detect(samples: Samples, draw: Bootstrap) -> Detection | None:
    """How often a lesion was missed, and how often one was found that is absent; None if there is no reference."""
    region, reference = samples.domain.lesion, samples.lesion_reference
    if region is None or reference is None:
        return None
    words = outcome(samples, region)
    n_found, n_missed, n_false, n_absent = (words.count(word) for word in ("found", "missed", "false", "absent"))
    return Detection(region, reference, n_found + n_missed, n_missed, n_false + n_absent, n_false,
                     _rate(words, ("missed", "found"), draw), _rate(words, ("false", "absent"), draw))


def compare(samples: Samples, seed: int = 0, replicates: int = REPLICATES) -> tuple[Comparison, ...]:
    """Every attribute: segmentation against mask and against request, mask against request; all samples, and those
    with the lesion. A comparison without a single complete pair is left out."""
    of_maps = {"segmentation": samples.attributes, "mask": samples.mask, "requested": samples.requested}
    columns = [(attribute, number, tables) for attributes, tables in (
        (samples.domain.attributes, of_maps), (samples.domain.image_attributes, samples.imaging.tables))
        for number, attribute in enumerate(attributes)]
    subsets = {ALL: np.ones(len(samples), dtype=bool)}
    if samples.with_lesion is not None:
        subsets[f"{samples.domain.lesion} only"] = samples.with_lesion
    comparisons, (_, clusters) = [], samples.clusters
    for measured, reference in (("segmentation", "mask"), ("segmentation", "requested"), ("mask", "requested")):
        for attribute, number, tables in columns:
            x, y = tables[reference], tables[measured]
            if x is None or y is None:
                continue
            for name, chosen in subsets.items():
                result = agreement(x[chosen, number], y[chosen, number], None if clusters is None else clusters[chosen],
                                   replicates, seed)
                if result.n:
                    comparisons.append(Comparison(attribute.name, attribute.unit, measured, reference, name, result))
    return tuple(comparisons)


def outcome(samples: Samples, region: str) -> list[str]:
    """The outcome of a region in each sample: found, missed, false, absent, or "" if its reference is undefined or
    free.

    Without masks only the lesion has an outcome, from the attribute that is its size. The list is empty for a region
    without a reference.
    """
    words = {ScoreReason.MEASURED: "found", ScoreReason.PREDICTION_EMPTY: "missed",
             ScoreReason.REFERENCE_EMPTY: "false", ScoreReason.BOTH_EMPTY: "absent", ScoreReason.FREE_CLASS: ""}
    if samples.scores is not None:
        return [words[ScoreReason(reason)] for reason in samples.scores.why(f"{region}_hd_mm")]
    size = _lesion_size(samples.domain, samples.mask, samples.requested)
    if size is None or region != samples.domain.lesion:
        return []
    measured = samples.attributes[:, samples.domain.attribute_names.index(samples.domain.lesion_size or "")]
    return ["" if np.isnan(reference) else ("found" if value > 0 else "missed") if reference > 0 else
            ("false" if value > 0 else "absent") for reference, value in zip(size, measured, strict=True)]


def reason_text(names: Mapping[int, str], code: int) -> str:
    """"" for a measured value, else why there is none; the code if `names` has no name for it."""
    return "" if code == Reason.MEASURED else names.get(code, f"reason {code}")


def _scores(segmentation: Segmentation, rows: NDArray[np.int64]) -> Scores | None:
    values, reasons = segmentation.scores, segmentation.score_reasons
    if values is None or reasons is None:
        return None
    return Scores(segmentation.score_names, segmentation.score_units, values[rows], reasons[rows])


def _lesion_size(domain: Domain, *tables: AttributeTable | None) -> NDArray[np.float32] | None:
    """(N,) size of the lesion, from the first table that holds it for any sample; None if no table does."""
    if domain.lesion is None or domain.lesion_size is None:
        return None
    sizes = (table[:, domain.attribute_names.index(domain.lesion_size)] for table in tables if table is not None)
    return next((size for size in sizes if np.isfinite(size).any()), None)


def _with_lesion(scores: Scores | None, size: NDArray[np.float32] | None,
                 domain: Domain) -> NDArray[np.bool_] | None:
    reasons = None if scores is None or domain.lesion is None else scores.why(f"{domain.lesion}_hd_mm")
    if reasons is None or (reasons == ScoreReason.FREE_CLASS).all():
        return None if size is None else size > 0
    return np.isin(reasons, (ScoreReason.MEASURED, ScoreReason.PREDICTION_EMPTY))


def _record(part: "DataclassInstance | None") -> dict[str, Any] | None:
    return None if part is None else asdict(part)


def _flat(comparison: Comparison) -> dict[str, Any]:
    values = asdict(comparison)
    flat: dict[str, Any] = values | values.pop("agreement") | {"n_excluded": comparison.agreement.n_excluded}
    return flat
