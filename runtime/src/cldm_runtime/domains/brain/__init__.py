"""Phantoms of heads with gliomas, for domains that declare the labels of BraTS."""

from collections.abc import Mapping

from ..phantom_rules import PhantomRules
from .glioma import LABELS, Load
from .phantom import BrainKind, BrainPhantom
from .scanner import ScannerFleet

_TEXT = ("Simulated MR images of heads without their skulls: gliomas, and findings that look like them. {} No "
         "patient's data is in it.")

BRAIN_KINDS: dict[str, BrainKind] = {
    "brain": BrainKind(
        "Brain phantom", _TEXT.format("Scanners of 1.5 and 3 T."), "GLI",
        Load((0.06, 0.62, 0.2, 0.08, 0.04), (3.0, 24.0), (0.55, 0.2, 0.15, 0.1), (4.0, 20.0), (0.65, 0.2, 0.1, 0.05)),
        ScannerFleet((0.4, 0.6), (0.015, 0.05), (1.0, 3.5), (0.04, 0.14), (0.6, 1.2))),
    "brain-shifted": BrainKind(
        "Brain phantom, shifted", _TEXT.format("Late tumours; older scanners of 1.5 T, thick slices, more noise."),
        "SSA",
        Load((0.02, 0.5, 0.26, 0.14, 0.08), (7.0, 32.0), (0.6, 0.15, 0.15, 0.1), (6.0, 24.0), (0.45, 0.25, 0.2, 0.1)),
        ScannerFleet((0.95, 0.05), (0.04, 0.1), (4.0, 7.0), (0.1, 0.3), (0.35, 0.9))),
}


def brain_rules(kind: BrainKind, values: Mapping[str, int]) -> PhantomRules:
    """A phantom with the label values of a domain, which must hold every name of `LABELS`."""
    return BrainPhantom(kind, {name: values[name] for name in LABELS}).rules()
