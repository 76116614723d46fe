"""The segmenter: nnU-Net's own planning, preprocessing, network, loss and training, on the cohort's training slices.

    <run folder>/segmenter/nnunet/raw, preprocessed, results    nnU-Net's three folders
                           config.json, log.csv, validation.csv, tensorboard/
"""

import contextlib
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch

from cldm_runtime.cli.streams import Unfailing
from cldm_runtime.errors import InputError
from cldm_runtime.files.records import plain

from ..config import RunConfig, SegmenterConfig
from ..nnunet.plan import (
    CONFIGURATIONS,
    DATASET_NAME,
    drawn_cases,
    plan_and_preprocess,
    plans_name,
    read_plan,
    set_loader_processes,
    use_folders,
    write_raw_images,
)
from ..nnunet.results import load_checkpoint
from ..nnunet.start import begin_with, facts_of
from ..training.batches import require_cohort
from ..training.checkpoint import agree_on_config, stored_config
from ..training.faults import explained, first_line
from ..training.log import Records
from ..training.run_folder import RunFolder
from .lineage import INHERITED, Inheritance

STAGE = "segmenter"
FOLD = 0


def result_folder(section: SegmenterConfig, run: RunFolder) -> Path:
    """The folder with plans.json, dataset.json and fold_0 that the stage leaves, as every nnU-Net training does."""
    name = f"nnUNetTrainer__{plans_name(section)}__{CONFIGURATIONS[run.cohort.dims]}"
    return run.own(STAGE) / "nnunet" / "results" / DATASET_NAME / name


def run(section: SegmenterConfig, workers: int, run: RunFolder) -> None:
    """Train the segmenter, from wherever it stands; at once if it is finished. More epochs than a finished training had
    go on from its end."""
    folder = run.own(STAGE)
    require_cohort(run.cohort.file)
    final = result_folder(section, run) / f"fold_{FOLD}" / "checkpoint_final.pth"
    latest = final.with_name("checkpoint_latest.pth")
    begun = final.exists() or latest.exists()
    agree_on_config(folder, depends_on(section, run) | _inherited(section, folder, begun), has_weights=begun)
    if final.exists():
        if int(load_checkpoint(final)["current_epoch"]) >= section.epochs:
            return
        final.replace(latest)
    with explained(lambda: STAGE):
        _train(section, workers, run, latest)


def _train(section: SegmenterConfig, workers: int, run: RunFolder, latest: Path) -> None:
    folder = run.own(STAGE)
    root = folder / "nnunet"
    use_folders(root)
    write_raw_images(run.cohort.file, root, run.cohort.sha256)
    with _stdout_to(folder / "nnunet.log"):
        plan_and_preprocess(root, section, CONFIGURATIONS[run.cohort.dims], workers)
        # After planning, which sets the number of threads itself.
        set_loader_processes(section.loader_processes)
        torch.set_num_threads(run.settings.threads)
        trainer = make_trainer(root, section, run.settings, CONFIGURATIONS[run.cohort.dims])
        if section.without_lesion:
            trainer.training_cases = drawn_cases(run.cohort.file, section.without_lesion)
        trainer.initialize()
        if latest.exists():
            _restore(trainer, latest)
        elif section.start:
            begin_with(trainer, Path(section.start))
    total = section.epochs * section.iterations_per_epoch
    first = trainer.current_epoch * section.iterations_per_epoch
    with _stopping(trainer), Records(folder, first, total) as records, _stdout_to(folder / "nnunet.log"):
        trainer.records = records
        trainer.run_training()


def _inherited(section: SegmenterConfig, folder: Path, begun: bool) -> dict[str, Any]:
    """What the bundle that the network begins with is, kept in the stage's configuration: the bundle may be replaced.
    """
    if not section.start:
        return {}
    return {INHERITED: stored_config(folder).get(INHERITED) if begun else facts_of(Path(section.start))}


def inheritance(run: RunFolder) -> Inheritance:
    """From the bundle with which this run's segmenter began; nothing if it began with none."""
    return Inheritance(natures=tuple(stored_config(run.own(STAGE)).get(INHERITED, {}).get("natures", ())))


def _restore(trainer: Any, latest: Path) -> None:
    """Raises InputError for a damaged checkpoint."""
    try:
        trainer.load_checkpoint(str(latest))  # a file of our own making: nnU-Net's checkpoints are pickles
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{latest}: damaged, or of another network ({first_line(error)}). Put back a copy of it; or "
                         "delete it and repeat the command, which begins at the first epoch.") from error


def depends_on(section: SegmenterConfig, run: RunFolder) -> dict[str, Any]:
    """What the network depends on."""
    settings = {key: value for key, value in plain(section).items() if key != "loader_processes"}
    return {"seed": run.settings.seed, **settings, **run.cohort.record}


def make_trainer(root: Path, section: SegmenterConfig, settings: RunConfig, configuration: str) -> Any:
    """The trainer of the planned or reduced configuration, "2d" or "3d_fullres"."""
    from ..nnunet.trainer import CohortTrainer

    folder = root / "preprocessed" / DATASET_NAME
    plan = read_plan(folder / f"{plans_name(section)}.json") | {"continue_training": False}
    dataset = read_plan(root / "raw" / DATASET_NAME / "dataset.json")
    cuda = settings.accelerator == "cuda" or (settings.accelerator == "auto" and torch.cuda.is_available())
    device = torch.device("cuda" if cuda else "cpu")
    trainer = CohortTrainer(plan, configuration, FOLD, dataset, device)
    # nnU-Net trains in one process, the first: it would take a group of ours for its own.
    trainer.is_ddp, trainer.local_rank, trainer.device = False, 0, device
    trainer.configure(section, settings)
    return trainer


@contextlib.contextmanager
def _stopping(trainer: Any) -> Iterator[None]:
    """SIGTERM and the first SIGINT let the epoch end, then save and stop."""
    def ask(number: int, _: object) -> None:
        if trainer.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        trainer.stop = True

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _stdout_to(file: Path) -> Iterator[None]:
    """nnU-Net prints what it does: that goes to a file, as far as it can be written."""
    target = file if os.access(file if file.exists() else file.parent, os.W_OK) else Path(os.devnull)
    with target.open("a", encoding="utf-8") as stream:
        unfailing = Unfailing(stream)
        with contextlib.redirect_stdout(unfailing):
            yield
        unfailing.flush()
    if target != file or unfailing.failure:
        click.echo(f"Warning: {file} cannot be written ({unfailing.failure or 'no right to write'}). Training goes on "
                   "without it.", err=True)
