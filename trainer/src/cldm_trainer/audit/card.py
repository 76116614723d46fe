"""The section "Realism and memorisation" of a bundle's model card. The manifest stays as it is: its digest names the
bundle, in generated files too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cldm_runtime.bundle.nature import cohort_adjective
from cldm_runtime.errors import BundleError

from .markdown import memorisation_table, two_sample_table

CARD = "MODEL_CARD.md"
_BEGIN, _END = "<!-- audit: begin -->", "<!-- audit: end -->"
_NEXT = "## Limits"  # the section goes before it

_TEXT = """\
## Realism and memorisation

Of `{generator}`; images: {source}. Measured by `cldm-train audit` after the export.

A small network learned to distinguish these images from {adjective} slices of the same label maps. Its accuracy on
patients that it had not seen; 0.5 is chance, 1 certainty. Another network may distinguish more.

{accuracy}

Copies: images that are nearer to one training slice, in any symmetry of the square, and so much nearer than to any
other patient, as only {quantile:g} of {held_out} held-out {adjective} slices are. {searched} images were searched.

{copies}"""


def write_card(bundle: Path, figures: Mapping[str, Any]) -> Path:
    """Put the figures of `Auditor.audit` into the card of the bundle folder, in place of those that are there.

    Raises BundleError where the folder holds no card.
    """
    path = bundle / CARD
    if not path.is_file():
        raise BundleError(f"bundle {bundle}: has no {CARD}. Export the bundle again.")
    path.write_text(with_section(path.read_text(encoding="utf-8"), section(figures)), encoding="utf-8")
    return path


def section(figures: Mapping[str, Any]) -> str:
    """The section, with the marks by which it is found again."""
    text = _TEXT.format(**figures["made"], **figures["memorisation"]["settings"],
                        adjective=cohort_adjective(figures["made"]["nature"]),
                        accuracy=two_sample_table(figures["two_sample"]["tests"]),
                        copies=memorisation_table(figures["memorisation"]["spaces"]))
    return f"{_BEGIN}\n{text}\n{_END}"


def with_section(card: str, text: str) -> str:
    """The card with this section in place of an older one, else before its limits, else at its end."""
    if _BEGIN in card and _END in card:
        before, rest = card.split(_BEGIN, 1)
        return before + text + rest.split(_END, 1)[1]
    before, heading, after = card.partition(f"\n{_NEXT}\n")
    return f"{before}\n{text}\n{heading}{after}" if heading else f"{card.rstrip()}\n\n{text}\n"
