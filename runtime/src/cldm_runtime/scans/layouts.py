"""The table of layouts: those of any organ here, those of one organ in its domain."""

from ..domains.layout import FileLayout
from ..domains.registry import DOMAINS, get_domain

AUTO, NNUNET, FOLDERS = "auto", "nnunet", "folders"
_TUMOUR = {"background": (0,), "necrotic_core": (1,), "edema": (2,)}

GENERAL = (
    FileLayout("brats", "BraTS from 2023", {
        channel: f"{{patient}}-{{visit}}/{{patient}}-{{visit}}-{channel}.nii[.gz]"
        for channel in ("t1n", "t1c", "t2w", "t2f")},
        ("{patient}-{visit}/{patient}-{visit}-seg.nii[.gz]",), _TUMOUR | {"enhancing_tumour": (3,)},
        case="{patient}-{visit}", patient="{patient}"),
    FileLayout("brats-2021", "BraTS from 2017 to 2021", {
        channel: f"{{case}}/{{case}}_{channel}.nii[.gz]" for channel in ("t1", "t1ce", "t2", "flair")},
        ("{case}/{case}_seg.nii[.gz]",), _TUMOUR | {"enhancing_tumour": (3, 4)},
        remark="Enhancing tumour is 4 in the files of the challenges and 3 in some copies; both are read."),
    FileLayout("seg-guided", "SegGuidedDiff", {"image": "img/{part}/{image}{ending}"},
               ("mask/all/{part}/{image}{ending}",)),
    FileLayout(FOLDERS, "two folders with equal file names", {"image": "images/{case}{ending}"},
               ("labels/{case}{ending}",)),
)


def file_layouts() -> tuple[FileLayout, ...]:
    """The layouts that patterns describe, the special ones first: `auto` takes the first that fits."""
    return (*(layout for name in DOMAINS for layout in get_domain(name).layouts), *GENERAL)
