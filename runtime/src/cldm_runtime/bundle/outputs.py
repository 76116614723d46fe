"""The outputs of a generator's decoder: one object for each kind, all listed in `OUTPUTS`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..domains.label_channels import LabelChannels, label_channels
from .acquisition_spec import ROLE as ACQUISITION
from .manifest import Manifest


@dataclass(frozen=True)
class Output:
    """One kind of output. tensor: the decoder's output of that kind, (N, channels, *spatial). channels: of a sample.
    value_range: least and greatest value."""

    name: str
    tensor: str
    channels: Callable[[Manifest], int]
    value_range: Callable[[Manifest], tuple[float, float]]


IMAGE = Output("image", "image", lambda manifest: manifest.image.channels, lambda manifest: manifest.image.value_range)
LABELS = Output("labels", "label_channels", lambda manifest: len(channels_of(manifest)), lambda manifest: (0.0, 1.0))
OUTPUTS = {output.name: output for output in (IMAGE, LABELS)}


def output_of(manifest: Manifest) -> Output:
    """The output of a checked manifest; an image if it names none."""
    return OUTPUTS[manifest.output or IMAGE.name]


def channels_of(manifest: Manifest) -> LabelChannels:
    """What the channels of label maps stand for in a bundle."""
    return label_channels(manifest.labels.names, manifest.labels.regions)


def draws_labels(manifest: Manifest) -> bool:
    """Whether the generator draws label maps."""
    return output_of(manifest) is LABELS


def output_faults(manifest: Manifest) -> Iterable[str]:
    """Why the manifest's output cannot be made, one line each."""
    output, decoder = OUTPUTS.get(manifest.output or IMAGE.name), manifest.graphs.get("decoder")
    if output is None:
        yield f"output: found {manifest.output!r}, expected one of: {', '.join(OUTPUTS)}."
        return
    if manifest.kind != "generator":
        if manifest.output is not None:
            yield f"output: found {manifest.output!r} in a {manifest.kind}; only generators have it."
        return
    if decoder is None:
        return  # reported elsewhere
    tensor = next((spec for spec in decoder.outputs if spec.name == output.tensor), None)
    if tensor is None:
        yield f"graphs.decoder.outputs: {output.tensor} is missing."
    elif output is LABELS:
        expected = ("N", len(channels_of(manifest)), *manifest.image.shape)
        if (tensor.dtype, tensor.shape) != ("float32", expected):
            yield (f"graphs.decoder.outputs.{output.tensor}: {tensor.dtype} {list(tensor.shape)}, expected float32 "
                   f"{list(expected)}: a channel for each of {', '.join(channels_of(manifest).names)}.")
    if output is LABELS and ACQUISITION in manifest.graphs:
        yield f"graphs.{ACQUISITION}: label maps have no scanner; leave it out where output is {LABELS.name}."
