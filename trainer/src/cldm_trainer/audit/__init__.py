"""`cldm-train audit`: can synthetic images be distinguished from the cohort's, and are they copies of training slices?

Writes audit.json, audit.md and pictures. The pictures show training slices: by default they go to the run's folder and
not to where results are published.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import open_dataset

from ..config import Config
from ..training.batches import require_cohort
from .auditor import AuditOptions, Auditor, Say, summary
from .card import write_card
from .sets import generated_samples

__all__ = ["AuditOptions", "Audited", "Auditor", "run", "summary", "write_card"]


@dataclass(frozen=True)
class Audited:
    """Files that were written: the page, and the model card where it was asked for."""

    page: Path
    card: Path | None


def run(config: Config, command: str, *, samples: Path | None = None, out: Path | None = None,
        options: AuditOptions | None = None, card: bool = False, say: Say = lambda text: None) -> Audited:
    """Audit the images of a file, or of the exported generator, and write the page; with `card`, the generator's model
    card too.

    Raises InputError for images that do not fit the cohort or, with `card`, that the exported generator did not make,
    BundleError or DatasetError for missing or damaged files.
    """
    require_cohort(config.cohort_file)
    torch.set_num_threads(config.run.threads)
    folder = config.run_folder / "audit"
    name = _name(config, samples, card)
    auditor = Auditor(config.cohort_file, _segmenter(Path(config.export.segmenter)), options, say)
    chosen = samples or generated_samples(auditor.sets, Generator.load(config.export.generator), folder,
                                          auditor.options.seeds, say)
    figures = auditor.audit(chosen, out or folder, name, command)
    written = write_card(Path(config.export.generator), figures) if card else None
    return Audited((out or folder) / "audit.md", written)


def _name(config: Config, samples: Path | None, card: bool) -> str:
    """The generator of the images, for people. Raises InputError where the card is asked for and it is another one."""
    bundle = Bundle.load(config.export.generator) if samples is None or card else None
    if samples is None and bundle is not None:
        return bundle.identity
    assert samples is not None
    with open_dataset(samples) as dataset:
        digest = str(dataset.metadata.get("manifest_sha256", ""))
    if bundle is not None and digest != bundle.manifest_sha256:
        maker = f"manifest {digest[:12]}" if digest else "an unknown generator"
        raise InputError(f"{samples}: made by {maker}, the card is that of {bundle.identity}. Leave out --samples or "
                         "--write-card.")
    return bundle.identity if bundle is not None else f"manifest {digest[:12]}" if digest else "not recorded"


def _segmenter(folder: Path) -> Segmenter | None:
    """The segmenter bundle, if it is there. Raises BundleError for one that is damaged."""
    return Segmenter.load(folder) if folder.exists() else None
