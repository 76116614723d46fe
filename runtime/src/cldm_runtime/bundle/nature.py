"""What the training images of a bundle are: drawn by a program, or of patients (`nature` in docs/bundle-format.md).

Every text about a bundle, a dataset or a report begins with it, because the file travels and its README does not.
"""

import json
from typing import Final, Literal, get_args

Nature = Literal["phantom", "patients"]
NATURES: Final[tuple[Nature, ...]] = get_args(Nature)

_TRAINED_ON: Final = {"phantom": "Trained on drawn phantoms; no patient data.",
                      "patients": "Trained on images of patients."}
_IMAGES: Final = {"phantom": "The images are drawn phantoms; no patient data.", "patients": "Images of patients."}


def nature_sentence(nature: str | None) -> str:
    """What a bundle was trained on, in one sentence. None and any other text than NATURES: not stated."""
    return _TRAINED_ON.get(nature or "", "What this bundle was trained on is not stated.")


def images_sentence(nature: str | None) -> str:
    """What the images of a cohort are, in one sentence."""
    return _IMAGES.get(nature or "", "What these images are is not stated.")


def cohort_noun(nature: str | None) -> str:
    """What tables and figures call the slices of a cohort: phantom, patients, or cohort where it is not stated."""
    return nature if nature in NATURES else "cohort"


def stated_nature(manifest_text: str) -> str:
    """The `nature` in the text of a manifest; "" where there is none, or the text is no manifest."""
    try:
        manifest = json.loads(manifest_text)
    except (ValueError, RecursionError):
        return ""
    nature = manifest.get("nature") if isinstance(manifest, dict) else None
    return nature if nature in NATURES else ""
