"""A folder of label maps that were predicted elsewhere, one file for each row of a dataset."""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...domains.labels import LabelMap
from ...engines.processor import available_cores
from ...errors import InputError, list_faults
from ...scans.sample_files import case_name
from ...store import Dataset
from .cases import file_faults, label_map_files, read_label_maps
from .own_code import OwnCode


@dataclass(frozen=True)
class PredictionsFolder(OwnCode):
    """folder: holds sample00012.nii.gz, or with another ending that scans may have, for every row."""

    folder: Path

    @property
    def default_workers(self) -> int:
        return available_cores()

    @property
    def is_repeatable(self) -> bool:
        return True

    @property
    def origin(self) -> str:
        return f"the folder {self.folder}"

    def source(self, mirror: bool | None = None) -> dict[str, str | int | float]:
        return {"form": "predictions", "files_sha256": self._digest}

    def made(self, stored: Mapping[str, str | int | float], mirror: bool | None = None) -> bool:
        return all(stored.get(key) == value for key, value in self.source().items())

    def check_fit(self, dataset: Dataset) -> None:
        """Raises InputError that names every row without a file, and every file without a row."""
        super().check_fit(dataset)
        files, names = label_map_files(self.folder), [case_name(row) for row in range(len(dataset))]
        faults = file_faults(files, names)
        faults += [f"{file.name}: belongs to no row" for name in sorted(files.keys() - set(names))
                   for file in files[name]]
        if faults:
            raise InputError(list_faults(f"{self.folder}: expected one label map for each of the {len(names)} rows of "
                                         f"{dataset.path}. For some of the rows make a dataset of these first: `cldm "
                                         f"convert {shlex.quote(str(dataset.path))} --to h5 --rows ROWS --out FILE`.",
                                         faults))

    def segment_rows(self, dataset: Dataset, rows: slice, batch_size: int, mirror: bool | None = None) -> LabelMap:
        chosen = range(*rows.indices(len(dataset)))
        return self.in_domain(read_label_maps(dataset, chosen, self.folder), dataset, len(chosen))

    def with_threads(self, threads: int | None) -> "PredictionsFolder":
        return self

    @cached_property
    def _digest(self) -> str:
        """SHA-256 of all names and contents."""
        digest = hashlib.sha256()
        for name, files in sorted(label_map_files(self.folder).items()):
            for file in files:
                digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()
