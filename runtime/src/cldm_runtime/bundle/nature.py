"""The nature of a bundle's training images: drawn by a program, or of patients (`nature` in docs/bundle-format.md).

Every text about a bundle, a dataset or a report begins with it, because files are copied without their README.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, get_args

Nature = Literal["phantom", "patients"]
NATURES: Final[tuple[Nature, ...]] = get_args(Nature)

_TRAINED_ON: Final = {"phantom": "Trained on drawn phantoms; no patient data.",
                      "patients": "Trained on images of patients."}
_ALSO: Final = {"phantom": "drawn phantoms", "patients": "images of patients"}
NOT_STATED: Final = "not stated"  # of one of several natures, in `provenance.natures`
_IMAGES: Final = {"phantom": "The images are drawn phantoms; no patient data.", "patients": "Images of patients."}


def nature_sentence(nature: str | None) -> str:
    """What a bundle was trained on, in one sentence. None and any text outside NATURES: not stated."""
    return _TRAINED_ON.get(nature or "", "What this bundle was trained on is not stated.")


def stated_natures(nature: str | None, provenance: Mapping[str, Any]) -> list[str]:
    """Of all images that a bundle's weights learned from, sorted; "": not stated. A manifest lists them in
    `provenance.natures` where there are several."""
    several = provenance.get("natures")
    listed = several if isinstance(several, list) and several else [nature]
    return sorted({value if value in NATURES else "" for value in listed})


def trained_on_sentence(nature: str | None, provenance: Mapping[str, Any]) -> str:
    """What a bundle was trained on, with what else its weights learned from: weights of phantoms stay known as such
    when they are trained on, on images of patients."""
    others = [_ALSO.get(other, "images of unknown origin") for other in stated_natures(nature, provenance)
              if other != (nature or "")]
    also = [f"Some of its weights were trained on {other} too." for other in others]
    return " ".join([nature_sentence(nature), *also])


def images_sentence(nature: str | None) -> str:
    """What the images of a cohort are, in one sentence."""
    return _IMAGES.get(nature or "", "What these images are is not stated.")


def cohort_noun(nature: str | None) -> str:
    """The name of a cohort's slices in tables and figures: phantom, patients, or cohort if it is not stated."""
    return nature if nature in NATURES else "cohort"


def cohort_adjective(nature: str | None) -> str:
    """The noun in front of another: phantom slices, patients' slices, cohort slices."""
    noun = cohort_noun(nature)
    return f"{noun}'" if noun.endswith("s") else noun


def cohort_possessive(nature: str | None) -> str:
    """Whose the slices are: the phantom's, the patients', the cohort's."""
    noun = cohort_noun(nature)
    return f"{noun}'" if noun.endswith("s") else f"{noun}'s"


def joined_nature(natures: Iterable[str | None]) -> str:
    """The nature of weights that learned from several sources: "patients" if one is of patients, "phantom" if all are
    phantoms, else "", not stated."""
    stated = set(natures)
    return "patients" if "patients" in stated else "phantom" if stated == {"phantom"} else ""


def stated_nature(manifest_text: str) -> str:
    """The `nature` in the text of a manifest; "" if there is none, or the text is no manifest."""
    nature = _read(manifest_text).get("nature")
    return nature if nature in NATURES else ""


def stated_sentence(manifest_text: str) -> str:
    """`trained_on_sentence` of the text of a manifest."""
    provenance = _read(manifest_text).get("provenance")
    return trained_on_sentence(stated_nature(manifest_text), provenance if isinstance(provenance, dict) else {})


def _read(manifest_text: str) -> dict[str, Any]:
    """Empty for a text that is no manifest."""
    try:
        manifest = json.loads(manifest_text)
    except (ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
