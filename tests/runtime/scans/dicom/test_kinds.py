"""Magnitude and PSIR, as vendors write them."""

import pytest

from cldm_runtime.scans.dicom.kinds import kind_of

PRIMARY = ["ORIGINAL", "PRIMARY"]


@pytest.mark.parametrize(("image_type", "component", "description", "kind"), [
    ([*PRIMARY, "M", "ND", "NORM", "PSIR"], "", "", "psir"),
    ([*PRIMARY, "M", "ND", "NORM", "MAG"], "", "LGE_psir", "magnitude"),
    ([*PRIMARY, "CR_IR", "CR", "IR"], "", "", "psir"),
    ([*PRIMARY, "M_IR", "M", "IR"], "", "LGE", "magnitude"),
    ([*PRIMARY, "M"], "", "tfl_psir_SA_PSIR", "psir"),
    ([*PRIMARY, "M"], "", "tfl_psir_SA_MAG", "magnitude"),
    ([*PRIMARY, "M"], "", "Phase Sensitive IR", "psir"),
    ([*PRIMARY, "IMAGE", "NONE"], "PHASE", "LGE", "phase"),
    ([*PRIMARY, "IMAGE", "NONE"], "REAL", "LGE", "real"),
    ([*PRIMARY, "IMAGE", "NONE"], "MAGNITUDE", "", "magnitude"),
    ([*PRIMARY, "OTHER"], "", "magnetic image of a primary", "image"),
    ([], "", "", "image")])
def test_the_kind(image_type: list[str], component: str, description: str, kind: str) -> None:
    assert kind_of(image_type, component, description) == kind
