"""Domains that files declare: TOML, nnU-Net's dataset.json, and the declarations in bundles and datasets."""

import re
from pathlib import Path
from typing import Any

from ..domains.declared import Declaration, as_identifier
from ..domains.domain import Domain
from ..domains.registry import DOMAINS, get_domain
from ..errors import InputError, list_faults
from ..files.records import read_record
from ..files.toml_file import read_toml
from ..files.user_files import read_json
from .nnunet_labels import read_labels

_LARGEST_FILE = 2**20  # bytes
_FLAT_FORMATS = (".png", ".bmp", ".tif", ".tiff")


def find_domain(name: str) -> Domain:
    """The domain of that name, or, if `name` is the path of a .toml file or of nnU-Net's dataset.json, the one declared
    there.

    Raises InputError with the known names, or with the faults of the file.
    """
    if not name.endswith((".toml", ".json")):
        return get_domain(name)
    domain = read_domain(Path(name))
    if domain.name in DOMAINS:
        raise InputError(f"{name}: the name {domain.name!r} belongs to a domain of this package. Choose another.")
    return domain


def carried_domain(name: str, declaration: object, where: str) -> Domain:
    """The domain that a file names: the one it declares or, without a declaration (None), the one of this package.

    Raises InputError if the declaration is faulty or has another name, and for an unknown name without a declaration.
    """
    if declaration is None:
        return get_domain(name) if name in DOMAINS else _unknown(name, where)
    if isinstance(declaration, dict) and "phantoms" in declaration:
        raise InputError(f"{where}: declares no valid domain. phantoms: unknown key in a file that holds samples or "
                         "networks. Make the file again.")
    domain = declared_domain(declaration, where)
    if domain.name != name:
        raise InputError(f"{where}: names the domain {name!r}, but declares {domain.name!r}. Make the file again.")
    return domain


def _unknown(name: str, where: str) -> Domain:
    raise InputError(f"{where}: names the domain {name!r}, which this runtime does not know, and declares none. Known: "
                     f"{', '.join(sorted(DOMAINS))}. Update cldm-runtime.")


def declared_domain(value: object, where: str) -> Domain:
    """The domain that a JSON object declares. Raises InputError with a list of all faults."""
    faults: list[str] = []
    declaration = read_record(Declaration, value, "", faults)
    if declaration is not None:
        faults = declaration.faults()
    if declaration is None or faults:
        raise InputError(list_faults(f"{where}: declares no valid domain.", faults))
    return declaration.domain()


def read_domain(path: Path) -> Domain:
    """The domain of a TOML file, or of nnU-Net's dataset.json. Raises InputError."""
    value: object = read_toml(path) if path.suffix == ".toml" else _from_nnunet(_read_json(path), path)
    return declared_domain(value, str(path))


def _read_json(path: Path) -> dict[str, Any]:
    value = read_json(path, _LARGEST_FILE)
    if not isinstance(value, dict) or not isinstance(value.get("labels"), dict):
        raise InputError(f'{path}: expected an object with "labels", as in nnU-Net\'s dataset.json, of at most '
                         f"{_LARGEST_FILE >> 20} MiB.")
    return value


def _from_nnunet(dataset: dict[str, Any], path: Path) -> dict[str, Any]:
    """The declaration in nnU-Net's dataset.json. An entry of its labels is a number, or a list of numbers: a region.
    A value that occurs in lists alone gets the name label_<value>. Pictures are slices, other files are volumes."""
    values = read_labels(dataset["labels"], path)
    if "ignore" in values:
        raise InputError(f'{path}: labels: "ignore" is not supported: label maps must say what every voxel is.')
    entries: dict[str, Any] = {name: list(values[name]) if isinstance(entry, list) else values[name][0]
                               for name, entry in dataset["labels"].items()}
    lists = {name: entry for name, entry in entries.items() if isinstance(entry, list)}
    labels = {name: entry for name, entry in entries.items() if name not in lists}
    names = {value: name for name, value in labels.items()}
    for value in sorted({item for values in lists.values() for item in values} - set(names)):
        labels[f"label_{value}"], names[value] = value, f"label_{value}"
    whole = {as_identifier(name): [names[item] for item in values] for name, values in lists.items()}
    single = {as_identifier(name): [name] for name, value in labels.items() if value != 0} if not lists else {
        as_identifier(name): [name] for name, entry in entries.items() if name not in lists and entry != 0}
    folder = re.sub(r"^dataset\d+_", "", path.absolute().parent.name.lower())
    named = dataset.get("name")
    name = re.sub(r"[^a-z0-9_-]+", "-", (named if isinstance(named, str) and named else folder).lower()).strip("-_")
    flat = str(dataset.get("file_ending", "")).lower() in _FLAT_FORMATS
    return {"name": name, "axes": 2 if flat else 3, "labels": labels, "regions": {**whole, **single}}
