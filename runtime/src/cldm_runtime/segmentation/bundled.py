"""What every segmenter by a bundle says of itself, whether it is an nnU-Net or draws an ensemble."""

from collections.abc import Mapping
from typing import ClassVar

from ..bundle.bundle import Bundle
from ..engines.choose import Choice
from ..engines.engine import AUTO, CPU_PROVIDERS
from ..engines.processor import default_workers
from ..store import Dataset


class BundledSegmenter:
    """The common part of `evaluation.segmenters.interface.AnySegmenter` for segmenters that are loaded bundles.

    FREE: keys of `source` that may differ from those of a segmentation that is used again.
    """

    FREE: ClassVar[tuple[str, ...]] = ()
    bundle: Bundle
    choice: Choice

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    @property
    def origin(self) -> str:
        return f"the bundle {self.bundle.path}"

    @property
    def on_gpu(self) -> bool:
        return self.choice.provider not in CPU_PROVIDERS

    @property
    def default_workers(self) -> int:
        return default_workers(self.choice.provider)

    @property
    def is_repeatable(self) -> bool:
        return True

    def settings_used(self, mirror: bool | None) -> dict[str, str | int | float]:
        """What the label maps depend on besides images, bundle, provider and precision."""
        raise NotImplementedError

    def source(self, mirror: bool | None = None) -> dict[str, str | int | float]:
        """The metadata of a segmentation: everything that decides whether segmenting again would give the same."""
        manifest = self.bundle.manifest
        return {"bundle": manifest.name, "bundle_version": manifest.bundle_version,
                "manifest_sha256": self.bundle.manifest_sha256, "provider": self.choice.provider,
                "precision": self.choice.precision, **self.settings_used(mirror),
                **({"nature": manifest.nature} if manifest.nature else {})}

    def made(self, stored: Mapping[str, str | int | float], mirror: bool | None = None) -> bool:
        """Whether a segmentation with these metadata is by this bundle, provider, precision and settings but FREE."""
        free = (*self.FREE, *(["provider"] if self.choice.requested == AUTO else []))  # auto may choose another one
        expected = {key: value for key, value in self.source(mirror).items() if key not in free}
        return all({"precision": "fp32", **stored}.get(key) == value for key, value in expected.items())

    def lacking_regions(self, dataset: Dataset) -> list[str]:
        return []
