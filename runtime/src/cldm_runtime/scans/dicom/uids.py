"""Unique identifiers of what is written: the same sample gets the same ones, whoever writes it.

They are UUIDs in DICOM's form ("2.25." and the number), made from a digest of the content, which names nobody. Equal
images at different places of a dataset differ by their names.
"""

import hashlib
import json
import uuid

import numpy as np
from numpy.typing import NDArray

_NAMESPACE = uuid.UUID("8d1c6a52-3c0f-5d0b-9a1e-6d2f6b1c7e40")  # of this package; drawn once


def uid(role: str, *identity: object) -> str:
    """The identifier of an object that has a role ("series", ...) for something with an identity."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, json.dumps([role, *map(str, identity)])).int}"


def content_of(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 of arrays with their types and shapes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
