"""`cldm-train bench`: this project's bundles against other software, timed in turn in one run, and the quality of each.

    docs/benchmarks/bench.jsonl        a row for each contender of each run
    docs/benchmarks.md                 the table of the last run, between its markers
    docs/figures/quality-speed.png     quality against speed
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cldm_runtime.bench.bundle_bench import PACKAGES, Sampling, time_contenders
from cldm_runtime.bench.contest import ContestOptions, Say
from cldm_runtime.bench.machine import PRODUCT_SIZE
from cldm_runtime.bench.rows import Json, append_rows
from cldm_runtime.errors import CldmError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter

from ..config import Config
from ..export.nnunet_agreement import agreement_of
from ..results.workshop import Sizes, Workshop
from ..training.batches import require_cohort
from .contenders import Entry, all_entries, contenders
from .page import write_page
from .picture import quality_against_speed
from .quality import quality

TRAINER_PACKAGES = (*PACKAGES, "cldm-trainer", "torch", "monai", "diffusers", "nnunetv2")


def run(config: Config, config_path: Path, command: str, *, out: Path = Path("docs"),
        options: ContestOptions | None = None, only: str = "", product_size: int = PRODUCT_SIZE,
        sizes: Sizes | None = None, say: Say = lambda text: None) -> Path:
    """Time every contender, measure the quality of every setting, and write rows, table and picture below `out`.

    only: contenders whose names hold this text; empty: all. Returns the file of rows. Raises DatasetError for a
    missing cohort, BundleError for a missing bundle; a contender that fails becomes a row with its error.
    """
    require_cohort(config.cohort_file)
    torch.set_num_threads(config.run.threads)
    section, folder = config.bench, config.run_folder / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    how = options or ContestOptions(section.rounds, section.seconds, section.batches, config.run.threads)
    entries = [entry for entry in all_entries(config, config_path, how, folder) if only in entry.contender.name]
    for file in {file for entry in entries for file in entry.labels or ()}:
        file.unlink(missing_ok=True)  # of an earlier run
    rows = time_contenders(contenders(entries), how, command, config.run.seed, TRAINER_PACKAGES, say,
                           folder / "contenders.log", product_size)
    for entry, row in zip(entries, rows, strict=True):
        row |= _quality(config, entry, row, sizes, say)
    file = append_rows(out / "benchmarks" / "bench.jsonl", rows)
    quality_against_speed(out / "figures" / "quality-speed.png", rows)
    write_page(out / "benchmarks.md", rows)
    return file


def _quality(config: Config, entry: Entry, row: Json, sizes: Sizes | None, say: Say) -> Json:
    """`quality` and `quality_reason` of a row."""
    if entry.reason is not None:
        return {"quality": None, "quality_reason": entry.reason}
    if row["error"] is not None:
        return {"quality": None, "quality_reason": "not timed"}
    if entry.labels is not None:
        return _against_nnunet(config, entry.labels)
    if not config.bench.quality or entry.quality_of is None:
        return {"quality": None, "quality_reason": "not asked for"}
    bundle, sampling = entry.quality_of
    try:
        shop = _workshop(config, bundle, sizes, say)
        return {"quality": quality(shop, _settings(shop, sampling)), "quality_reason": None}
    except CldmError as error:
        return {"quality": None, "quality_reason": str(error)}


def _workshop(config: Config, bundle: Path, sizes: Sizes | None, say: Say) -> Workshop:
    """A workshop for the images of one bundle."""
    return Workshop(config.run_folder / "bench" / bundle.name, config.cohort_file, Generator.load(bundle),
                    Segmenter.load(config.export.segmenter), Path("examples/grid.csv"), sizes or Sizes(), say)


def _settings(shop: Workshop, sampling: Sampling) -> Any:
    return replace(shop.generator.settings(**sampling.arguments()), batch_size=shop.generator.sampling.batch_size)


def _against_nnunet(config: Config, labels: tuple[Path, Path]) -> Json:
    """Agreement of label maps with those of nnU-Net's predictor."""
    if not all(path.exists() for path in labels):
        return {"quality": None, "quality_reason": "nnU-Net's predictor left no label maps to compare with"}
    ours, theirs = (np.load(path, allow_pickle=False) for path in labels)
    segmenter = Segmenter.load(config.export.segmenter)
    agreement = agreement_of(ours, theirs, segmenter.domain.labels.names, mirror="mirrored" in labels[0].name)
    return {"quality": {"dice_with_nnunet": dict(agreement.dice), "pixels": dict(agreement.pixels),
                        "differing_pixels": agreement.differing_pixels, "all_pixels": agreement.all_pixels},
            "quality_reason": None}
