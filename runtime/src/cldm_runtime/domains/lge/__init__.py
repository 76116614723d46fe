"""The heart in short axis, late gadolinium enhancement: labels, attributes, anatomy and phantom."""

from ..domain import Domain
from .anatomy import LgeAnatomy
from .attributes import ATTRIBUTES, LABELS, measure_slices
from .tidy import tidy
from .widening import widen_infarct


def lge_domain() -> Domain:
    return Domain("lge", LABELS, ATTRIBUTES, measure_slices, LgeAnatomy(), lesion="infarct", lesion_size="infarct_size",
                  tidy=tidy, widen=widen_infarct)
