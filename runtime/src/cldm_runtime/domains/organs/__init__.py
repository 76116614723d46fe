"""Phantoms of the abdomen and the breasts, for domains that declare their labels."""

from collections.abc import Mapping
from functools import partial

from ..phantom_rules import PhantomRules
from .abdomen import LABELS, LEVELS_MM, TISSUE_LABELS
from .bowel import draw_abdomen
from .breast import LABELS as BREAST_LABELS
from .breast import LEVELS_MM as BREAST_LEVELS_MM
from .breast import TISSUE_LABELS as BREAST_TISSUE_LABELS
from .breast import draw_breasts
from .phantom import Kind, Phantom
from .scanners import CtScanner, MrScanner

_ABDOMEN = "Simulated axial {} of the abdomen: nested organs, branching vessels, tumours. No patient's data is in it."
_BREASTS = ("Simulated axial MR images of both breasts: glands, thin vessels, tumours. No patient's data is in "
            "it.")

KINDS: dict[str, Kind] = {
    "organs-ct": Kind("Abdomen phantom, CT", _ABDOMEN.format("CT"), "CT", 400.0, LEVELS_MM, 12.0, tuple(LABELS),
                      TISSUE_LABELS, draw_abdomen, CtScanner.draw),
    "organs-mr": Kind("Abdomen phantom, MR", _ABDOMEN.format("MR images"), "MR", 400.0, LEVELS_MM, 12.0, tuple(LABELS),
                      TISSUE_LABELS, draw_abdomen,
                      partial(MrScanner.draw, weights={"t1": 0.3, "t1-agent": 0.4, "t2": 0.3})),
    "breast-mr": Kind("Breast phantom, MR", _BREASTS, "MR", 340.0, BREAST_LEVELS_MM, 9.0, tuple(BREAST_LABELS),
                      BREAST_TISSUE_LABELS, draw_breasts,
                      partial(MrScanner.draw, weights={"t1": 0.2, "t1-agent": 0.7, "t2": 0.1})),
}


def phantom_rules(kind: Kind, values: Mapping[str, int]) -> PhantomRules:
    """A phantom with the label values of a domain, which must hold every name of `kind.labels`."""
    return Phantom(kind, values).rules()
