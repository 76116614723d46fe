"""What a cohort was made from: the content of the raw files, and the recipe. An outdated cohort is refused."""

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..domains.domain import Domain
from ..errors import DatasetError, list_faults
from ..files.derived import Derivation, differences
from ..files.digest import sha256_of, sha256_of_bytes
from ..store import DERIVED_FROM, open_dataset
from .dicom.masks import DicomMask
from .nnunet_raw import Case, RawDataset
from .sources import ArraySource, files_of


def origin_of(raw: RawDataset, recipe: Mapping[str, object], nature: str, domain: Domain) -> Derivation:
    """The digests of all raw files, and the recipe. Names of cases and patients go into one digest, nowhere else."""
    files = list(dict.fromkeys(
        file for case in raw.cases for source in (*case.image_files, case.label_file, *case.label_files, *_truth(case))
        for file in files_of(source) if os.path.isfile(file)))
    with ThreadPoolExecutor() as pool:
        contents = dict(zip(files, pool.map(sha256_of, files), strict=True))
    sources = {
        "cases and subsets": [(case.name, case.patient, case.subset) for case in raw.cases],
        "images": [[_content(file, contents) for file in case.image_files] for case in raw.cases],
        "label maps": [[(contents.get(file), value) for file, value in case.regions]
                       or _content(case.label_file, contents) for case in raw.cases],
    }
    if any(case.truth_file for case in raw.cases):
        sources["true label maps"] = [[contents.get(file) for file in _truth(case)] for case in raw.cases]
    declared = {} if domain.declaration is None else {"declared_domain": domain.declaration}
    return Derivation({name: sha256_of_bytes(json.dumps(value).encode()) for name, value in sources.items()},
                      {**recipe, "nature": nature, **declared})


def _content(source: ArraySource, contents: Mapping[Path, str]) -> object:
    """The digest of a file; of DICOM, those of all its files, and which frames or values they give."""
    if isinstance(source, Path):
        return contents.get(source)
    order = source.values if isinstance(source, DicomMask) else [frame.number for frame in source.frames]
    return [[contents.get(file) for file in source.files], order]


def _truth(case: Case) -> tuple[Path, ...]:
    return () if case.truth_file is None else (case.truth_file,)


def check_same(target: Path, origin: Derivation) -> None:
    """Raise DatasetError if the cohort was not made from this, or does not state what it was made from."""
    with open_dataset(target) as dataset:
        made = Derivation.read(str(dataset.metadata.get(DERIVED_FROM, "")))
    renew = "Replace it with `cldm prepare --config FILE --overwrite`, or choose another cohort folder"
    if made is None:
        raise DatasetError(f"{target}: does not state what it was made from, as cohorts of earlier versions, so it may "
                           f"be out of date. {renew}. To train on it as it is, move the raw dataset away and leave out "
                           "`prepare`.")
    if changed := differences(made, origin):
        raise DatasetError(list_faults(f"{target} was made from other data or with other settings. {renew}:", changed))
