"""What segmenters that are code of the user's own have in common: nobody knows whether that code has changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...domains.labels import LabelMap
from ...errors import InputError
from ...store import Dataset
from .label_values import lacking, translated, value_table

CODE = "code_sha256"


@dataclass(frozen=True)
class OwnCode:
    """name: of the segmentation. labels: value that the code gives -> label of the domain; empty: the domain's values.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    @property
    def threads(self) -> int | None:
        return None

    @property
    def default_workers(self) -> int:
        return 1  # the code may have threads, or a GPU, of its own

    @property
    def is_repeatable(self) -> bool:
        return False

    @property
    def on_gpu(self) -> bool:
        return False

    @property
    def origin(self) -> str:
        raise NotImplementedError

    def source(self, mirror: bool | None = None) -> dict[str, str | int | float]:
        raise NotImplementedError

    def made(self, stored: Mapping[str, str | int | float], mirror: bool | None = None) -> bool:
        """Whether this function or command made a segmentation, its code as it is now or as it was then."""
        return all(stored.get(key) == value for key, value in self.source().items() if key != CODE)

    def check_fit(self, dataset: Dataset) -> None:
        """Raises InputError for labels that the domain lacks."""
        value_table(self.labels, dataset.load_domain().labels, self.origin)

    def lacking_regions(self, dataset: Dataset) -> list[str]:
        """Regions that the description gives no value for; none where the values are the domain's."""
        labels = dataset.load_domain().labels
        return lacking(value_table(self.labels, labels, self.origin), labels)

    def images_at_once(self, batch_size: int) -> int:
        return batch_size

    def in_domain(self, values: NDArray[np.generic], dataset: Dataset, count: int) -> LabelMap:
        """What the code gave for `count` rows as label maps of the file's domain. Raises InputError."""
        if values.shape != (count, *dataset.shape):
            raise InputError(f"{self.origin}: gave label maps of shape {values.shape}, expected "
                             f"{(count, *dataset.shape)}: one for each image.")
        return translated(values, value_table(self.labels, dataset.load_domain().labels, self.origin), self.origin)
