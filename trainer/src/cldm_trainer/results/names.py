"""What the pages call the cohort's slices: phantom, patients, or cohort where their nature is not stated.

Within the figures a set of the cohort is "real, <subset>", as opposed to reconstructed and synthetic ones, for every
kind of cohort. Only the printed text names its nature.
"""

import re

from cldm_runtime.bundle.nature import cohort_noun

_COHORT = re.compile(r"^(segmenting )?real\b")


def shown_name(name: str, nature: str) -> str:
    """The printed name of a set or a step: "real, test" is "phantom, test" of a phantom."""
    return _COHORT.sub(rf"\g<1>{cohort_noun(nature)}", name)
