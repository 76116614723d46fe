"""What an evaluation needs of a segmenter, whatever its form. `segmentation.segmenter.Segmenter` is one of them."""

from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

from ...domains.labels import LabelMap
from ...store import Dataset

SourceValue = str | int | float
LACKS = "lacks"  # metadata of a segmentation: the regions that its segmenter has no label for


@runtime_checkable
class AnySegmenter(Protocol):
    """Gives label maps for rows of a dataset file, in the label values of the file's domain.

    `name` is that of the segmentation in the file. `threads`: of one operator, None for all cores. `default_workers`:
    processes that share the work where nobody says how many. `is_repeatable`: whether equal sources give equal label
    maps. A segmentation by code of the user's own is made again at each evaluation, because that code may have changed.
    """

    @property
    def name(self) -> str: ...

    @property
    def threads(self) -> int | None: ...

    @property
    def default_workers(self) -> int: ...

    @property
    def is_repeatable(self) -> bool: ...

    @property
    def on_gpu(self) -> bool: ...

    @property
    def origin(self) -> str:
        """What it is and where it lies, for messages: "the bundle exported/lge-segmenter"."""

    def source(self, mirror: bool | None = None) -> dict[str, SourceValue]:
        """What its label maps depend on besides the images; stored with them."""

    def made(self, stored: Mapping[str, SourceValue], mirror: bool | None = None) -> bool:
        """Whether a segmentation with these metadata is by this segmenter."""

    def lacking_regions(self, dataset: Dataset) -> list[str]:
        """Regions of the file's domain that it has no label for, and so never finds."""

    def check_fit(self, dataset: Dataset) -> None:
        """Raise InputError if the segmenter is not made for the images of the file."""

    def images_at_once(self, batch_size: int) -> int:
        """Rows of one call of `segment_rows`; only a segmenter whose calls are slow to begin takes more than
        `batch_size`."""

    def segment_rows(self, dataset: Dataset, rows: slice, batch_size: int, mirror: bool | None = None) -> LabelMap:
        """(n, *spatial) uint8 label maps of these rows."""

    def with_threads(self, threads: int | None) -> Self:
        """This segmenter for another number of threads."""


@runtime_checkable
class DrawsSamples(Protocol):
    """A segmenter that draws several label maps of each image, and so knows where it doubts."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Regions or labels that the channels of its variance stand for."""

    def drawn_columns(self, dataset: Dataset, rows: slice, batch_size: int) -> dict[str, Any]:
        """masks, variance and sample_dice of these rows, as `SegmentationWriter.append` takes them."""


def segmented_columns(segmenter: AnySegmenter, dataset: Dataset, rows: slice, batch_size: int,
                      mirror: bool | None = None) -> dict[str, Any]:
    """What a segmenter says of these rows: columns for `SegmentationWriter.append`, without names of channels."""
    if isinstance(segmenter, DrawsSamples):
        return segmenter.drawn_columns(dataset, rows, batch_size)
    return {"masks": segmenter.segment_rows(dataset, rows, batch_size, mirror)}


def drawn_names(segmenter: AnySegmenter) -> tuple[str, ...]:
    """Names of the channels of the variance; empty for a segmenter that draws no samples."""
    return segmenter.channel_names if isinstance(segmenter, DrawsSamples) else ()
