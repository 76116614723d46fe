"""Reads the text of manifest.json into a checked record."""

import json

from ..errors import BundleError, list_faults
from ..files.records import read_record
from ..files.user_files import unique_keys
from .checks import consistency_faults
from .manifest import FORMAT, FORMAT_VERSION, Manifest


def read_manifest(text: str) -> Manifest:
    """Read and check the text of a manifest. Raises BundleError with a list of all faults."""
    value = _parse(text)
    faults: list[str] = []
    manifest = read_record(Manifest, value, "", faults)
    if manifest is not None:
        faults = consistency_faults(manifest)
    if manifest is None or faults:
        raise BundleError(list_faults("manifest.json is faulty. Export the bundle again.", faults))
    return manifest


def _parse(text: str) -> object:
    try:
        value = json.loads(text, object_pairs_hook=unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json is not valid JSON: {error}. Export the bundle again.") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        name = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise BundleError(f'manifest.json: format is {name!r}, expected "{FORMAT}". This is not a cldm bundle.')
    version = value.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise BundleError(f"manifest.json: format_version {version} is newer than the newest that this runtime "
                          f"reads ({FORMAT_VERSION}). Update it: pip install --upgrade cldm-runtime.")
    if type(version) is not int or version < 1:
        raise BundleError(f"manifest.json: format_version is {version!r}, expected 1 to {FORMAT_VERSION}.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
