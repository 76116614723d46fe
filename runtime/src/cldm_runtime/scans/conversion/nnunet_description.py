"""What nnU-Net needs beside the images: dataset.json, and which cases belong together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files.atomic import write_json
from ..subsets import PATIENTS, SPLITS, SUBSETS
from .table import HEADER_FILE, Header

DESCRIPTION, BACKGROUND = "dataset.json", "background"
_OF_TRAINING = ("", "train", "val")


def parts_of(header: Header, count: int, columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """"Tr" for samples to train with: those with label maps that belong to no other subset than train and val. "Ts" for
    the others."""
    if not (header.has_masks or header.has_annotations):
        return ["Ts"] * count
    subsets = columns["subset"].tolist() if "subset" in columns else [""] * count
    return ["Tr" if subset in _OF_TRAINING else "Ts" for subset in subsets]


def describe_nnunet(folder: Path, header: Header, names: Sequence[str], columns: Mapping[str, NDArray[Any]]) -> None:
    """dataset.json; subsets.json, patients.json and splits_final.json where the dataset knows subsets and patients."""
    labels, parts = header.load_domain(HEADER_FILE).labels, parts_of(header, len(names), columns)
    write_json(folder / DESCRIPTION, {
        "name": header.domain,
        "channel_names": {str(number): f"channel {number}" for number in range(header.channels)},
        "labels": {name if value else BACKGROUND: value for value, name in enumerate(labels.names)},
        "numTraining": parts.count("Tr"),
        "file_ending": ".nii.gz",
        **({"nature": nature} if (nature := header.metadata.get("nature")) else {}),
    })
    if "patients" in columns:
        write_json(folder / PATIENTS, dict(zip(names, columns["patients"].tolist(), strict=True)))
    if "subset" in columns:
        subsets = {str(subset): np.asarray(names)[columns["subset"] == subset].tolist()
                   for subset in np.unique(columns["subset"])}
        write_json(folder / SUBSETS, subsets)
        if {"train", "val"} <= subsets.keys():
            write_json(folder / SPLITS, [{"train": subsets["train"], "val": subsets["val"]}])
