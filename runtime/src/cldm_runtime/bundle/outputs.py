"""The outputs of a generator's decoder: one object for each kind, all listed in `OUTPUTS`."""

from dataclasses import dataclass

from .manifest import Manifest


@dataclass(frozen=True)
class Output:
    """One kind of output. tensor: the decoder's output of that kind. implemented: whether this runtime supports it."""

    name: str
    tensor: str
    implemented: bool = True


IMAGE = Output("image", "image")
OUTPUTS = {output.name: output for output in (IMAGE, Output("labels", "logits", implemented=False))}


def output_of(manifest: Manifest) -> Output:
    """The output of a checked manifest; an image if it names none."""
    return OUTPUTS[manifest.output or IMAGE.name]


def output_faults(manifest: Manifest) -> list[str]:
    """Why the manifest's output cannot be made, one line each."""
    output = OUTPUTS.get(manifest.output or IMAGE.name)
    if output is None:
        return [f"output: found {manifest.output!r}, expected one of: {', '.join(OUTPUTS)}."]
    return [] if output.implemented else [f"output: this runtime does not make {output.name} yet, only "
                                         f"{', '.join(each.name for each in OUTPUTS.values() if each.implemented)}."]
