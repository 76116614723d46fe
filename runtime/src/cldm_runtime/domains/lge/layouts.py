"""The layouts of public datasets of the heart. Names and values are those of the datasets' own pages.

A label that has the name of one of the domain needs no meaning. Oedema and the right ventricle are no labels of the
domain: oedema without scar is muscle that is not infarcted, the right ventricle belongs to the background.
"""

from ..layout import FileLayout

_BACKGROUND = {"background": (0,)}
_HEART = {"lv_cavity": (1,), "healthy_myocardium": (2,), "infarct": (3,), "mvo": (4,)}
_NO_SCAR = "It has no label of scar: every figure of infarct is void, those of cavity and muscle stand."

LAYOUTS = (
    FileLayout("emidec", "EMIDEC", {"LGE": "Case_{case}/Images/Case_{case}.nii[.gz]"},
               ("Case_{case}/Contours/Case_{case}.nii[.gz]",), _BACKGROUND | _HEART, case="Case_{case}",
               lost_affine=True),
    FileLayout("myosaiq", "MYOSAIQ", {"LGE": "{time}_postMI/images/{patient}_{visit}.nii[.gz]"},
               ("{time}_postMI/labels/{patient}_{visit}.nii[.gz]",), _BACKGROUND | _HEART, case="{patient}_{visit}",
               patient="{patient}",
               remark="Visits with the same number count as one patient; patients.json can say otherwise."),
    FileLayout("lascarqs", "LAScarQS, task 1", {"LGE": "{case}/enhanced.nii[.gz]"},
               ("{case}/atriumSegImgMO.nii[.gz]", "{case}/scarSegImgM.nii[.gz]"),
               _BACKGROUND | {"atrium_cavity": (1,), "scar": (2,)}, one_region_each=True),
    FileLayout("lascarqs-cavity", "LAScarQS, task 2", {"LGE": "{case}/enhanced.nii[.gz]"},
               ("{case}/atriumSegImgMO.nii[.gz]",), _BACKGROUND | {"atrium_cavity": (1,)}, one_region_each=True),
    FileLayout("myops", "MyoPS 2020",
               {"LGE": "{case}_DE.nii[.gz]", "bSSFP": "{case}_C0.nii[.gz]", "T2": "{case}_T2.nii[.gz]"},
               ("{case}_gd.nii[.gz]",),
               _BACKGROUND | {"myocardium": (200,), "left_ventricle": (500,), "right_ventricle": (600,),
                              "edema": (1220,), "scar": (2221,)},
               {"myocardium": "healthy_myocardium", "left_ventricle": "lv_cavity", "right_ventricle": "background",
                "edema": "healthy_myocardium", "scar": "infarct"}),
    FileLayout("ms-cmrseg", "MS-CMRSeg 2019", {"LGE": "{case}_LGE.nii[.gz]"}, ("{case}_LGE_manual.nii[.gz]",),
               _BACKGROUND | {"myocardium": (200,), "left_ventricle": (500,), "right_ventricle": (600,)},
               {"myocardium": "healthy_myocardium", "left_ventricle": "lv_cavity", "right_ventricle": "background"},
               remark=_NO_SCAR),
    FileLayout("acdc", "ACDC", {"cine": "{patient}/{patient}_frame{frame}.nii[.gz]"},
               ("{patient}/{patient}_frame{frame}_gt.nii[.gz]",),
               _BACKGROUND | {"right_ventricle": (1,), "myocardium": (2,), "left_ventricle": (3,)},
               {"myocardium": "healthy_myocardium", "left_ventricle": "lv_cavity", "right_ventricle": "background"},
               case="{patient}_frame{frame}", patient="{patient}", remark=f"Its images are cine MRI. {_NO_SCAR}"),
)
