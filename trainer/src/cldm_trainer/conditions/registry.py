"""Every kind of condition, by its name in the configuration."""

from cldm_runtime.errors import InputError

from .ablated_mask import AblatedMaskCondition
from .attributes import AttributeCondition
from .control import ControlCondition
from .facts import ConditionFacts
from .image import ImageCondition
from .kind import Condition
from .label_vae import LabelVaeCondition
from .mask import MaskCondition
from .mask_attributes import MaskAttributesCondition
from .mask_value import MaskValueCondition
from .none import NoCondition
from .painting import PaintingCondition

KINDS: dict[str, Condition] = {kind.name: kind for kind in (
    NoCondition(), MaskCondition(), AttributeCondition(), LabelVaeCondition(), ControlCondition(),
    MaskAttributesCondition(), ImageCondition(), AblatedMaskCondition(), MaskValueCondition(),
    PaintingCondition())}


def condition_facts(condition: str) -> ConditionFacts:
    """What a manifest says about `diffusion.condition`. Raises InputError for a kind that is not exported: its images
    would belong to no label map."""
    facts = KINDS[condition].facts
    if facts is None:
        raise InputError(f"diffusion.condition = {condition!r}: an unconditional model is the base of a ControlNet and "
                         "is not exported, because its images belong to no label map and to no attributes.")
    return facts
