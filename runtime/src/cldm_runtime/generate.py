"""Runs of any length into one dataset file: a plan, parts that are committed one by one, and their merge.

While a run is under way its finished parts lie in `<out>.parts`, each a dataset file of its own. A run that was stopped
or killed is resumed by doing the parts that are missing. The same plan gives the same bytes, however often it was
stopped: samples are computed in canonical batches, and merging sees the same parts in the same order.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .engines import PROVIDERS
from .errors import CldmError, DatasetError, InputError, InterruptedRun
from .generator import Batch, Generator
from .manifest import SamplingSpec
from .requests import RequestSource, measured_attributes
from .store import DatasetSpec, DatasetWriter, MetadataValue, create_dataset, open_dataset, publish

PART_SAMPLES = 128  # about; a part holds whole batches
PLAN_FILE = "plan.json"
_MERGE_ROWS = 64
_DRAWS = "anatomy_draws"  # root attribute: label maps drawn in all, of which each sample took one
_SMALL_COLUMNS = ("requested", "mask_attributes", "mask_reasons", "grid_row", "sample_index", "condition")  # if there
_ROW_OVERHEAD_BYTES = 256  # attributes, indices and chunk tables

Existing = Literal["refuse", "resume", "overwrite"]
Progress = Callable[[int, int], None]  # (samples done, samples in all)


@dataclass(frozen=True)
class Plan:
    """Everything that decides the content of a generated file."""

    generator: Generator
    source: RequestSource
    samples: int
    seed: int
    settings: SamplingSpec

    def content(self) -> dict[str, Any]:
        """The plan as plain values."""
        manifest, settings = self.generator.manifest, self.settings
        return {
            "bundle": manifest.name, "bundle_version": manifest.bundle_version,
            "manifest_sha256": self.generator.bundle.manifest_sha256, "provider": self.generator.provider,
            "precision": self.generator.choice.precision,
            "requests": self.source.identity(), "samples": self.samples, "seed": self.seed,
            "sampler": settings.sampler, "steps": settings.steps, "spacing": settings.spacing, "eta": settings.eta,
            "guidance": settings.guidance, "guidance_interval": list(settings.guidance_interval),
            "batch_size": settings.batch_size, "runtime_version": __version__,
        }

    @property
    def text(self) -> str:
        return json.dumps(self.content(), sort_keys=True)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def parts(self) -> list[range]:
        """The samples of each part; every part but the last holds the same number of whole batches."""
        size = self.settings.batch_size * max(1, PART_SAMPLES // self.settings.batch_size)
        return [range(start, min(start + size, self.samples)) for start in range(0, self.samples, size)]

    @property
    def bytes_needed(self) -> int:
        """Free space that the run takes at most: its parts and the merged file."""
        image = self.generator.manifest.image
        pixels = int(np.prod(image.shape))
        return 2 * self.samples * (2 * pixels * image.channels + pixels + _ROW_OVERHEAD_BYTES)


def generate_dataset(plan: Plan, out: str | os.PathLike[str], existing: Existing = "refuse",
                     progress: Progress | None = None) -> Path:
    """Carry out the plan; the file `out` appears, whole, at the end.

    existing: what to do about a file or an unfinished run of that name. progress is called after every batch.
    Raises InputError for a name that is taken, DatasetError for a folder that cannot be written or is full, and
    InterruptedRun on Ctrl-C, after which "resume" goes on.
    """
    target = Path(out)
    folder = parts_folder(target)
    if is_finished(plan, target, existing):
        shutil.rmtree(folder, ignore_errors=True)
        return target
    check_output(plan, target, existing)
    _prepare_folder(plan, target, existing)
    try:
        _write_parts(plan, folder, progress)
        _merge(plan, folder, target, existing)
    except KeyboardInterrupt as error:
        raise InterruptedRun(f"{target}: stopped; {_committed(plan, folder)} of {plan.samples} samples are kept in "
                             f"{folder}. Run the same command with --resume to go on.") from error
    except CldmError:
        if not _committed(plan, folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return target


def parts_folder(target: Path) -> Path:
    """Where the finished parts of an unfinished run lie."""
    return target.with_name(target.name + ".parts")


def provider_under_way(target: Path) -> str | None:
    """The provider of the unfinished run of that name, else of the finished file; None where neither can be read."""
    try:
        found = (parts_folder(target) / PLAN_FILE).read_text()
    except (OSError, UnicodeDecodeError):
        try:
            with open_dataset(target) as dataset:
                found = str(dataset.metadata.get("plan"))
        except DatasetError:
            return None
    try:
        plan = json.loads(found)
    except ValueError:
        return None
    provider = plan.get("provider") if isinstance(plan, dict) else None
    return provider if provider in PROVIDERS else None


def is_finished(plan: Plan, target: Path, existing: Existing) -> bool:
    """Whether resuming finds the file already there. Raises InputError if it is that of another plan."""
    if existing != "resume" or not target.exists():
        return False
    with open_dataset(target) as dataset:
        found = dataset.metadata.get("plan", "{}")
    if found != plan.text:
        raise InputError(f"{target}: exists and is of another plan: {_differences(str(found), plan)}. "
                         "Choose another --out, or pass --overwrite.")
    return True


def check_output(plan: Plan, target: Path, existing: Existing) -> None:
    """Everything that can be said about the output before anything is written. Raises InputError or DatasetError."""
    folder = parts_folder(target)
    if target.is_dir():
        raise InputError(f"{target}: is a folder. Give the name of a file, for example {target / 'samples.h5'}.")
    if existing == "refuse" and target.exists():
        raise InputError(f"{target}: already exists. Choose another --out, or pass --overwrite.")
    if existing == "refuse" and folder.exists():
        raise InputError(f"{folder}: holds an unfinished run. Pass --resume to go on, or --overwrite to start anew.")
    if existing == "resume" and (folder / PLAN_FILE).exists():
        found = (folder / PLAN_FILE).read_text()
        if found != plan.text:
            raise InputError(f"{folder}: holds an unfinished run of another plan: {_differences(found, plan)}. Repeat "
                             "its flags to resume it, or pass --overwrite to start anew.")
    _check_space(plan, target, existing)


def _check_space(plan: Plan, target: Path, existing: Existing) -> None:
    parent = next(path for path in target.absolute().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise DatasetError(f"{target}: {parent} is not a folder that can be written. Choose another --out.")
    held = sum(path.stat().st_size for path in parts_folder(target).glob("*")) if existing != "refuse" else 0
    free = shutil.disk_usage(parent).free + held
    if free < plan.bytes_needed:
        raise DatasetError(f"{target}: {plan.samples} samples need up to {_size(plan.bytes_needed)} while running, but "
                           f"{parent} has {_size(free)} free. Free some space or choose another --out.")


def _prepare_folder(plan: Plan, target: Path, existing: Existing) -> None:
    folder = parts_folder(target)
    try:
        if existing == "overwrite" and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=existing == "resume")
        unfinished = folder / (PLAN_FILE + ".partial")
        unfinished.write_text(plan.text)
        unfinished.replace(folder / PLAN_FILE)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror}). Choose another --out.") from error


def _part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.h5"


def _is_committed(plan: Plan, path: Path, samples: range) -> bool:
    if not path.exists():
        return False
    try:
        with open_dataset(path) as part:
            index = part.sample_index
            return (part.metadata.get("plan_sha256") == plan.sha256 and index is not None
                    and np.array_equal(index, np.arange(samples.start, samples.stop)))
    except DatasetError:  # damaged: it is computed again
        return False


def _committed(plan: Plan, folder: Path) -> int:
    return sum(len(samples) for number, samples in enumerate(plan.parts) if _part_path(folder, number).exists())


def _write_parts(plan: Plan, folder: Path, progress: Progress | None) -> None:
    numbered = [(_part_path(folder, number), samples) for number, samples in enumerate(plan.parts)]
    missing = [(path, samples) for path, samples in numbered if not _is_committed(plan, path, samples)]
    done = plan.samples - sum(len(samples) for _, samples in missing)
    for path, samples in missing:
        with create_dataset(path, _spec(plan, {"plan_sha256": plan.sha256}), overwrite=True) as writer:
            draws = 0
            for batch in _write_batches(plan, samples, writer):
                done, draws = done + len(batch.images), draws + batch.draws
                if progress:
                    progress(done, plan.samples)
            writer.set_metadata({_DRAWS: draws})


def _write_batches(plan: Plan, samples: range, writer: DatasetWriter) -> Iterator[Batch]:
    generator = plan.generator
    for batch in generator.batches(plan.source, samples, plan.seed, plan.settings):
        columns: dict[str, NDArray[Any]] = {"images": batch.images, "grid_row": batch.grid_row,
                                            "sample_index": batch.sample_index}
        if batch.condition is not None:
            columns["condition"] = batch.condition
        if generator.manifest.conditions:
            columns["requested"] = batch.requested
        if batch.masks is not None:
            columns["masks"] = batch.masks
            columns["mask_attributes"], columns["mask_reasons"] = measured_attributes(
                batch.masks, list(batch.requested), generator.domain)
        writer.append(**columns)
        yield batch


def _spec(plan: Plan, metadata: dict[str, MetadataValue]) -> DatasetSpec:
    domain, image = plan.generator.domain, plan.generator.manifest.image
    return DatasetSpec(domain, image.shape, image.spacing_mm, image.channels, image.value_range, metadata)


def _merge(plan: Plan, folder: Path, target: Path, existing: Existing) -> None:
    """Copy the parts into one file beside them, then give it its name in one step."""
    merged, draws = folder / "merged.h5", 0
    with create_dataset(merged, _spec(plan, _provenance(plan)), overwrite=True) as writer:
        for number in range(len(plan.parts)):
            with open_dataset(_part_path(folder, number)) as part:
                draws += int(part.metadata.get(_DRAWS, 0))
                small = {name: getattr(part, name) for name in _SMALL_COLUMNS if name in part}
                for start in range(0, len(part), _MERGE_ROWS):
                    rows = slice(start, start + _MERGE_ROWS)
                    columns = {name: values[rows] for name, values in small.items()}
                    if "masks" in part:
                        columns["masks"] = part.masks(rows)
                    writer.append(images=part.images(rows), **columns)
        writer.set_metadata({_DRAWS: draws} if draws else {})
    publish(merged, target, overwrite=existing != "refuse")


def _provenance(plan: Plan) -> dict[str, MetadataValue]:
    table = plan.generator.step_table(plan.settings)
    steps = {"timesteps": table.timesteps.tolist(), "alpha": table.alpha.tolist(), "sigma": table.sigma.tolist()}
    return {
        "manifest": plan.generator.bundle.manifest_text, "manifest_sha256": plan.generator.bundle.manifest_sha256,
        "seed": plan.seed, "sampler": plan.settings.sampler, "step_table": json.dumps(steps),
        "guidance": plan.settings.guidance, "guidance_interval": json.dumps(plan.settings.guidance_interval),
        "batch_size": plan.settings.batch_size, "plan": plan.text, "plan_sha256": plan.sha256,
        "runtime_version": __version__, "provider_requested": plan.generator.choice.requested,
        "provider_obtained": plan.generator.provider, "precision": plan.generator.choice.precision,
        **{name: value for name, value in plan.source.identity().items() if name.startswith("anatomy")},
    }


def _differences(found: str, plan: Plan) -> str:
    """Where a plan found on disk differs from this one."""
    try:
        other = json.loads(found)
    except ValueError:
        return "its plan cannot be read"
    here = json.loads(plan.text)
    if not isinstance(other, dict):
        return "its plan cannot be read"
    keys = [key for key in sorted({*other, *here}) if other.get(key) != here.get(key)]
    return ", ".join(f"{key} was {other.get(key)}, now {here.get(key)}" for key in keys) or "another version wrote it"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
