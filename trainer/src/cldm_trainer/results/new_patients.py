"""Test patients of a phantom that served no choice: drawn anew, and put in the place of the cohort's."""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.derived import Derivation
from cldm_runtime.scans.phantom_cohort import choose_phantom, subset_sizes
from cldm_runtime.store import (
    DERIVED_FROM,
    MASK_ATTRIBUTES_FROM,
    MASKS,
    Dataset,
    DatasetSpec,
    DatasetWriter,
    cohort_digest,
    create_dataset,
    edit_dataset,
    open_dataset,
    read_content,
)

from ..audit.kept_files import is_as_made, record_made
from ..config import Config
from ..stages import cohort, phantom
from ..training.batches import require_cohort

_JOINED = "with-new-patients.h5"
_KEPT = ("nature", "percentile_low", "percentile_high")  # root attributes of a cohort that the new one has too


def cohort_of_results(config: Config) -> Path:
    """The cohort that results are measured on: the configuration's or, with `results.new_patients`, one in which the
    named subsets hold patients that were drawn for the results alone. Made once.

    Raises InputError for a cohort that is no phantom and for subsets or numbers that cannot be drawn, DatasetError
    where there is no cohort.
    """
    require_cohort(config.cohort_file)
    section = config.results
    if not section.new_patients:
        return config.cohort_file
    _check(config)
    sizes = "".join(f"-{count}-{subset}" for subset, count in sorted(section.new_patients.items()))
    folder = Path(config.cohort.folder) / f"new-{section.first_new_patient}{sizes}"
    drawn, target = _draw(config, folder), folder / _JOINED
    with open_dataset(config.cohort_file) as old, open_dataset(drawn) as new:
        made = Derivation({"cohort": cohort_digest(old), "new": cohort_digest(new)},
                          {"replaced": sorted(section.new_patients)})
        if not is_as_made(target, made.sha256):
            click.echo(f"{target}: the cohort with new patients in {', '.join(section.new_patients)}", err=True)
            _join(target, old, new, set(section.new_patients), made)
            record_made(target, made.sha256)
    return target


def _check(config: Config) -> None:
    section = config.results
    with open_dataset(config.cohort_file) as dataset:
        nature = dataset.nature
    if nature != "phantom":
        raise InputError(f"results.new_patients: found {section.new_patients}, but {config.cohort_file} holds no "
                         "phantom, and new patients can only be drawn. Leave the key out.")
    trained = sorted({"train", "val"} & section.new_patients.keys())
    if trained:
        raise InputError(f"results.new_patients: found {', '.join(trained)}, expected subsets for testing alone: "
                         "training and validation patients stay.")
    domain = find_domain(config.cohort.domain)
    rules = domain.phantoms[choose_phantom(domain, config.cohort.phantom)]
    known = config.cohort.first_patient + max(subset_sizes(config.cohort, rules).values())
    if section.first_new_patient < known or min(section.new_patients.values()) < 1:
        raise InputError(f"results: new patients are numbered from {section.first_new_patient}, "
                         f"{section.new_patients} of them. Expected at least one in each subset, and numbers from "
                         f"{known} on: the cohort has those below.")


def _draw(config: Config, folder: Path) -> Path:
    """The new patients alone, drawn and prepared as the cohort was."""
    section = config.results
    domain = find_domain(config.cohort.domain)
    nobody = dict.fromkeys(domain.phantoms[choose_phantom(domain, config.cohort.phantom)].patients, 0)
    settings = replace(config.cohort, folder=str(folder), patients={**nobody, **section.new_patients},
                       first_patient=section.first_new_patient)
    phantom.run(settings, config.prepare.workers)
    cohort.run(settings, replace(config.prepare, raw=""))
    return settings.file


def _join(target: Path, old: Dataset, new: Dataset, replaced: set[str], made: Derivation) -> None:
    """Write the cohort's other subsets and the new patients, whose pseudonyms begin with N."""
    metadata = {name: old.metadata[name] for name in _KEPT if name in old.metadata}
    spec = DatasetSpec(old.load_domain(), old.shape, old.spacing_mm, old.channels,
                       metadata={**metadata, DERIVED_FROM: made.text()})
    with create_dataset(target, spec, overwrite=True) as writer:
        assert old.subset is not None  # a prepared cohort names them
        _copy(writer, old, np.flatnonzero(~np.isin(old.subset, sorted(replaced))), "")
        _copy(writer, new, np.arange(len(new)), "N")
    with open_dataset(target) as dataset:
        measured = read_content(dataset).only(MASKS)
    with edit_dataset(target) as editor:
        editor.set_metadata({MASK_ATTRIBUTES_FROM: measured.text()})


def _copy(writer: DatasetWriter, source: Dataset, rows: np.ndarray, prefix: str) -> None:
    """Rows with their columns; `prefix` comes before each patient's pseudonym."""
    columns = {name: getattr(source, name) for name in ("mask_attributes", "mask_reasons", "slices", "subset")}
    patients = source.patients
    assert patients is not None  # a prepared cohort names them
    for start in range(0, len(rows), source.rows_at_once):
        part = rows[start:start + source.rows_at_once]
        writer.append(images=source.images(part), masks=source.masks(part),
                      annotations=source.annotations(part) if "annotations" in source else None,
                      patients=[f"{prefix}{name}" for name in patients[part]],
                      **{name: values[part] for name, values in columns.items() if values is not None})
