"""The sources that conditions are made from: one object for each kind, all listed in `SOURCES`.

A source defines the inputs of its encoder and their shapes, how they are computed for N samples, and what a request
must contain. All other code reads this table: a new kind is a new entry here.

    source        inputs of the encoder, float32
    masks         one_hot (N, K, *spatial): 1 where the voxel has that label
    attributes    attributes (N, A), in the user's units and the order of the manifest, 0 where undefined or unknown;
                  defined (N, A): 1 where the value is known, else 0
    images        image (N, C, *spatial): given images in the value range of the manifest's `image`
    classes       known (N, K): 1 for a label that the map tells, 0 for one that is left free
    paintings     image (N, C, *spatial): given images in the value range of the manifest's `image`; region (N, 1,
                  *spatial): 1 where they are painted anew, else 0
    both          "masks and attributes", "masks and classes", "masks and paintings": the inputs of both;
                  `Manifest.sources` names the two
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..errors import InputError
from .manifest import Manifest

Float32 = NDArray[np.float32]
Given = Mapping[str, NDArray[Any]]
"""Source -> its array for N samples: masks (N, *spatial) uint8; attributes (N, A) float32 in the domain's order, NaN
where undefined or unknown; (N, A + B) where those of images are conditions too; images (N, C, *spatial); classes (N, K)
bool; paintings (N, C + 1, *spatial) float32, the region after the channels of the given image."""


@dataclass(frozen=True)
class Source:
    """One kind of source.

    name: in manifests and in `Given`. needs: a text that says where its arrays come from. shapes: inputs of the encoder
    -> shapes of one sample. inputs: these inputs from the source's array. fault: what a manifest lacks for the source,
    "" if nothing. maps, attributes: whether a request must contain a label map, or attributes. default: what N samples
    take that are given none; None: it must be given.
    """

    name: str
    needs: str
    shapes: Callable[[Manifest], dict[str, tuple[int, ...]]]
    inputs: Callable[[NDArray[Any], Manifest, Domain], dict[str, Float32]]
    fault: Callable[[Manifest], str] = lambda manifest: ""
    maps: bool = False
    attributes: bool = False
    default: Callable[[Manifest, int], NDArray[Any]] | None = None


def attribute_inputs(values: NDArray[np.floating]) -> dict[str, Float32]:
    """The inputs of an encoder of attributes, from attributes (N, A), NaN where undefined or unknown."""
    defined = np.isfinite(values)
    return {"attributes": np.where(defined, values, 0.0).astype(np.float32), "defined": defined.astype(np.float32)}


def _in_order(requested: NDArray[Any], manifest: Manifest, domain: Domain) -> dict[str, Float32]:
    """The inputs of an encoder of attributes, from attributes (N, A) in the domain's order, or (N, A + B) with those of
    images after them."""
    known = (*domain.attribute_names, *domain.image_attribute_names)
    return attribute_inputs(requested[:, [known.index(spec.name) for spec in manifest.attributes]])


def _painting_inputs(paintings: NDArray[Any], manifest: Manifest, domain: Domain) -> dict[str, Float32]:
    """The inputs of an encoder of paintings (N, C + 1, *spatial), the region in the last channel."""
    values = np.asarray(paintings, np.float32)
    return {"image": np.ascontiguousarray(values[:, :-1]), "region": np.ascontiguousarray(values[:, -1:])}


def _everywhere(manifest: Manifest, samples: int) -> Float32:
    """No image is given, and the region is everywhere."""
    paintings = np.zeros((samples, manifest.image.channels + 1, *manifest.image.shape), np.float32)
    paintings[:, -1] = 1.0
    return paintings


MASKS = Source(
    "masks", "drawn for the requested attributes, or given",
    shapes=lambda manifest: {"one_hot": (len(manifest.labels.names), *manifest.image.shape)},
    inputs=lambda masks, manifest, domain: {"one_hot": domain.labels.one_hot(masks)}, maps=True)
ATTRIBUTES = Source(
    "attributes", "requested, or measured on given masks; no masks are drawn or written",
    shapes=lambda manifest: dict.fromkeys(("attributes", "defined"), (len(manifest.attributes),)), inputs=_in_order,
    fault=lambda manifest: "" if manifest.attributes else "its source is attributes, but the manifest lists none",
    attributes=True)
BOTH = Source(
    f"{MASKS.name} and {ATTRIBUTES.name}", f"masks {MASKS.needs}; attributes requested, or sampled",
    shapes=lambda manifest: {**MASKS.shapes(manifest), **ATTRIBUTES.shapes(manifest)},
    inputs=lambda arrays, manifest, domain: {}, fault=ATTRIBUTES.fault, maps=True, attributes=True)
IMAGES = Source(
    "images", "given: cldm segment takes cases or a dataset",
    shapes=lambda manifest: {"image": (manifest.image.channels, *manifest.image.shape)},
    inputs=lambda images, manifest, domain: {"image": np.asarray(images, np.float32)})
CLASSES = Source(
    "classes", "all, unless some are left free",
    shapes=lambda manifest: {"known": (len(manifest.labels.names),)},
    inputs=lambda kept, manifest, domain: {"known": kept.astype(np.float32)},
    default=lambda manifest, samples: np.ones((samples, len(manifest.labels.names)), dtype=bool))
PARTLY = Source(
    f"{MASKS.name} and {CLASSES.name}", f"masks {MASKS.needs}; classes {CLASSES.needs}",
    shapes=lambda manifest: {**MASKS.shapes(manifest), **CLASSES.shapes(manifest)},
    inputs=lambda arrays, manifest, domain: {}, maps=True)
PAINTINGS = Source(
    "paintings", "given; whole images are painted where none are given",
    shapes=lambda manifest: {"image": (manifest.image.channels, *manifest.image.shape),
                             "region": (1, *manifest.image.shape)},
    inputs=_painting_inputs, default=_everywhere)
PAINTED = Source(
    f"{MASKS.name} and {PAINTINGS.name}", f"masks {MASKS.needs}; images and regions {PAINTINGS.needs}",
    shapes=lambda manifest: {**MASKS.shapes(manifest), **PAINTINGS.shapes(manifest)},
    inputs=lambda arrays, manifest, domain: {}, maps=True)
SOURCES = {source.name: source
           for source in (MASKS, ATTRIBUTES, IMAGES, BOTH, CLASSES, PARTLY, PAINTINGS, PAINTED)}


def sources_of(manifest: Manifest) -> list[Source]:
    """The sources of a checked manifest's conditions."""
    return [SOURCES[name] for name in manifest.sources]


def needs_maps(manifest: Manifest) -> bool:
    """Whether images are made from label maps."""
    return any(source.maps for source in sources_of(manifest))


def needed_attributes(manifest: Manifest) -> tuple[str, ...]:
    """Names of the attributes that images are made from."""
    taken = any(source.attributes for source in sources_of(manifest))
    return tuple(spec.name for spec in manifest.attributes) if taken else ()


def inputs_from(manifest: Manifest, domain: Domain, arrays: Given) -> dict[str, Float32]:
    """The inputs of every condition's encoder by name, for N samples. Raises InputError for a missing source."""
    inputs: dict[str, Float32] = {}
    for source in sources_of(manifest):
        given = arrays.get(source.name)
        if given is None and source.default is not None:
            given = source.default(manifest, max(map(len, arrays.values()), default=0))
        if given is None:
            raise InputError(f"bundle {manifest.name} makes images from {source.name}, and none are given.")
        inputs |= source.inputs(given, manifest, domain)
    return inputs


def blank_inputs(manifest: Manifest, samples: int) -> dict[str, Float32]:
    """Zeros in the shapes of every encoder's inputs, to time the networks with."""
    shapes = {name: shape for source in sources_of(manifest) for name, shape in source.shapes(manifest).items()}
    return {name: np.zeros((samples, *shape), dtype=np.float32) for name, shape in shapes.items()}
