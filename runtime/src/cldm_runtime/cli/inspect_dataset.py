"""What `cldm inspect` says of a dataset file."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..bundle.nature import images_sentence, nature_sentence, stated_nature, stated_sentence
from ..store import Dataset, Segmentation, read_filter

Facts = dict[str, Any]


def dataset_facts(dataset: Dataset) -> Facts:
    """What a file holds, as JSON values; what it does not hold is None or empty."""
    metadata, subset, patients = dataset.metadata, dataset.subset, dataset.patients
    generated, chosen = "manifest" in metadata, read_filter(metadata, dataset.path)
    return {
        "file": str(dataset.path), "samples": len(dataset), "channels": dataset.channels, "shape": list(dataset.shape),
        "spacing_mm": list(dataset.spacing_mm), "domain": dataset.domain, "generated": generated,
        "nature": stated_nature(str(metadata["manifest"])) if generated else dataset.nature,
        "trained_on": stated_sentence(str(metadata["manifest"])) if generated else "",
        "subsets": {} if subset is None else dict(Counter(subset.tolist())),
        "patients": None if patients is None else len(set(patients.tolist())),
        "labels": list(dataset.label_names) if "masks" in dataset else None,
        "attributes": dict(zip(dataset.attribute_names, dataset.attribute_units, strict=False)),
        "kept_if": None if chosen is None else {"rule": chosen.rule, "segmenter": chosen.segmenter,
                                                "accepted": chosen.accepted, "asked": chosen.asked},
        "requested": "requested" in dataset, "measured": "mask_attributes" in dataset,
        "segmentations": {name: _segmentation(segmentation) for name, segmentation in dataset.segmentations.items()},
        **{key: metadata[key] for key in ("seed", "provider_obtained", "runtime_version") if key in metadata},
    }


def _segmentation(segmentation: Segmentation) -> Facts:
    return {"nature": str(segmentation.metadata.get("nature", "")), "measured": segmentation.attributes is not None,
            "scored": segmentation.scores is not None}


def dataset_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """(name, text) lines that describe the facts; the first, on the nature of the images, has no name."""
    yield "", f"Generator: {facts['trained_on']}" if facts["generated"] else images_sentence(facts["nature"])
    yield "file", f"{facts['file']} ({'generated' if facts['generated'] else 'not generated'})"
    yield "images", (f"{facts['samples']} of {facts['channels']} x {_by(facts['shape'])}, "
                     f"{_by(facts['spacing_mm'])} mm")
    yield "domain", facts["domain"]
    if facts["patients"] is not None:
        yield "patients", str(facts["patients"])
    if facts["subsets"]:
        yield "subsets", ", ".join(f"{name or 'unnamed'} {count}" for name, count in facts["subsets"].items())
    labels = facts["labels"]
    yield "labels", "no masks" if labels is None else ", ".join(f"{v} {name}" for v, name in enumerate(labels))
    kinds = [kind for kind in ("requested", "measured") if facts[kind]]
    for name, unit in facts["attributes"].items():
        yield "attribute", f"{name} ({unit}; {' and '.join(kinds)})"
    for name, entry in facts["segmentations"].items():
        states = ["measured" if entry["measured"] else "not measured", *(["scored"] if entry["scored"] else [])]
        yield "segmentation", f"{name} ({', '.join(states)}). Segmenter: {nature_sentence(entry['nature'])}"
    if kept := facts["kept_if"]:
        yield "kept if", f"{kept['rule']} ({kept['accepted']} of {kept['asked']} samples; judge: {kept['segmenter']})"
    for key, title in (("seed", "seed"), ("provider_obtained", "provider"), ("runtime_version", "runtime")):
        if key in facts:
            yield title, str(facts[key])


def _by(sizes: list[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
