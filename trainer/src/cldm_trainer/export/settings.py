"""What an export takes of a run's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cldm_runtime.files.records import plain
from cldm_runtime.scans.settings import PADDING_APART

from ..config import Config, ExportConfig
from ..training.run_folder import RunFolder

_PRIVATE_KEYS = ("folder", "raw", "perceptual_network", "nnunet")  # paths say where data comes from


@dataclass(frozen=True)
class BundleSettings:
    """percentiles: of the grey values that became 0 and 1. config: the whole configuration as JSON values, without
    paths, for the manifest's provenance."""

    export: ExportConfig
    run: RunFolder
    percentiles: tuple[float, ...]
    config: Mapping[str, Any]
    prepare_labels: Mapping[str, str] = field(default_factory=dict)  # [prepare.labels]
    padding: str = PADDING_APART  # prepare.padding

    @classmethod
    def of(cls, config: Config) -> "BundleSettings":
        return cls(config.export, RunFolder.of(config), config.prepare.percentiles, without_paths(config.resolved()),
                   config.prepare.labels, config.prepare.padding)

    def exported_as(self, section: ExportConfig) -> "BundleSettings":
        """The same with another [export] section."""
        return replace(self, export=section, config={**self.config, "export": without_paths(plain(section))})


def without_paths(value: Any) -> Any:
    """The configuration without the paths of the machine that it ran on."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items() if key not in _PRIVATE_KEYS}
    return [without_paths(item) for item in value] if isinstance(value, list) else value
