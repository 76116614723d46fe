"""The nature of a bundle's training images: drawn by a program, or of patients (`nature` in docs/bundle-format.md).

Every text about a bundle, a dataset or a report begins with it, because files are copied without their README.
"""

import json
from collections.abc import Iterable
from typing import Final, Literal, get_args

Nature = Literal["phantom", "patients"]
NATURES: Final[tuple[Nature, ...]] = get_args(Nature)

_TRAINED_ON: Final = {"phantom": "Trained on drawn phantoms; no patient data.",
                      "patients": "Trained on images of patients."}
_IMAGES: Final = {"phantom": "The images are drawn phantoms; no patient data.", "patients": "Images of patients."}


def nature_sentence(nature: str | None) -> str:
    """What a bundle was trained on, in one sentence. None and any text outside NATURES: not stated."""
    return _TRAINED_ON.get(nature or "", "What this bundle was trained on is not stated.")


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
    try:
        manifest = json.loads(manifest_text)
    except (ValueError, RecursionError):
        return ""
    nature = manifest.get("nature") if isinstance(manifest, dict) else None
    return nature if nature in NATURES else ""
