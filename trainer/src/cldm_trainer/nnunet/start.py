"""An nnU-Net training that begins with the weights of a segmenter bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.nature import stated_natures
from cldm_runtime.errors import InputError

from ..graphs.read_weights import fill
from .results import build_network

ROLE = "segmenter"


def facts_of(folder: Path) -> dict[str, Any]:
    """Which bundle it is, and the natures of the images that its weights learned from. Raises BundleError for a faulty
    bundle."""
    bundle = Bundle.load(folder)
    return {"bundle": bundle.identity, "natures": list(stated_natures(bundle.manifest.nature,
                                                                      bundle.manifest.provenance))}


def begin_with(trainer: Any, folder: Path) -> None:
    """Put the weights of a segmenter bundle into an initialised nnU-Net trainer's network. The heads of deep
    supervision, which bundles lack, stay random.

    Raises InputError where the bundle is none of a segmenter, or holds another network than the trainer's.
    """
    bundle = Bundle.load(folder)
    graphs: Mapping[str, Any] = bundle.manifest.graphs
    if ROLE not in graphs:
        raise InputError(f"{folder}: a bundle of kind {bundle.manifest.kind}, expected a segmenter. Set "
                         "segmenter.start to one, or leave it out.")
    plans, configuration = trainer.plans_manager.plans, trainer.configuration_name
    plain = build_network(plans, trainer.dataset_json, type(trainer).__name__, configuration)  # no deep supervision
    fill(plain, graphs[ROLE], (bundle.path / graphs[ROLE].file).read_bytes(), ROLE)
    trainer.network.load_state_dict(plain.state_dict())
