"""The heart in short axis, late gadolinium enhancement: labels, attributes, anatomy, phantoms and appearance."""

from ..domain import Domain
from .anatomy import LgeAnatomy
from .appearance import APPEARANCE
from .attributes import ATTRIBUTES, LABELS, REASONS, measure_slices
from .contrast import IMAGE_ATTRIBUTES, IMAGE_REASONS, measure_contrast
from .layouts import LAYOUTS
from .phantom1.rerender import PHANTOM as PHANTOM_1
from .phantom2.rerender import PHANTOM as PHANTOM_2
from .phantom2.rerender import PHANTOM_WITH_TRUE_LABELS
from .place import PLACE
from .scar_edit import SCAR_EDIT
from .stack import STACK
from .tidy import tidy
from .widening import widen_infarct
from .words import RULES as WORDS

LIMITS = ("Small and patchy infarcts and microvascular obstruction are the hardest part of this domain: they are drawn "
          "and found less reliably than large infarcts.")


def lge_domain() -> Domain:
    return Domain("lge", LABELS, ATTRIBUTES, measure_slices, LgeAnatomy(), lesion="infarct", lesion_size="infarct_size",
                  tidy=tidy, widen=widen_infarct, edit=SCAR_EDIT, reasons=REASONS, limits=LIMITS,
                  stack=STACK, layouts=LAYOUTS, appearance=APPEARANCE, image_attributes=IMAGE_ATTRIBUTES,
                  image_reasons=IMAGE_REASONS, measure_images=measure_contrast, words=WORDS, place=PLACE,
                  phantoms={"lge-1": PHANTOM_1, "lge-2": PHANTOM_2, "lge-2-true-labels": PHANTOM_WITH_TRUE_LABELS})
