"""Networks that were trained elsewhere to a generator bundle, checked like our own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import TensorSpec
from cldm_runtime.domains.domain import Domain

from ..export import reference as reference_case
from ..export.bundle_writer import GraphFile, ReferenceFile, draft_manifest, refuse_to_overwrite, write_bundle
from ..export.model_card import generator_card
from ..export.parity import GraphParity, as_table, compare_graph, compare_reference, evaluate, require
from ..graphs.write import BATCH, export_graph, trace
from .description import Description
from .networks import Imported, encoder_role
from .sections import generator_sections

_LOOP_FACTOR = 10  # rounding adds up over the steps of a run
_ELSEWHERE_FACTOR = 5  # what another machine or provider may add
_SAMPLES = 2
_FED = "condition"
_OUTPUTS = {"denoiser": ("prediction", "what schedule.prediction_type says", None),
            "decoder": ("image", "image in image.value_range", (0.0, 1.0)),
            "encoder": ("latent", "a draw of the latent's distribution", None)}
_MEANINGS: dict[str, tuple[str, tuple[float, float] | None]] = {
    "x": ("noisy latent", None), "timestep": ("training timestep, whole numbers", None),
    _FED: ("the condition, as its encoder gives it", None), "latent": ("what the denoiser makes", None),
    "image": ("image in image.value_range", (0.0, 1.0)),
    "posterior_noise": ("independent standard normal numbers; zeros give the mean latent", None),
    "one_hot": ("label map, one channel for each of labels.names, 0 or 1", (0.0, 1.0)),
    "attributes": ("values in the order and units of attributes; 0 where undefined", None),
    "defined": ("whether the attribute is defined, 0 or 1", (0.0, 1.0))}

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class ImportedExport:
    """What is exported: the networks, and what their description says of them."""

    networks: Imported
    description: Description
    domain: Domain
    torchscript: bool = True

    def write(self, target: Path, *, force: bool = False) -> Path:
        """Write the bundle. Raises ParityError, and writes nothing, where a graph or the sampling loop differs from the
        networks by more than the description's tolerance."""
        refuse_to_overwrite(target, force=force)
        inputs = self.random_inputs()
        graphs = [self._graph(role, module, inputs[role]) for role, module in self.networks.roles.items()]
        sections = generator_sections(self.description, self.domain, self.networks, self._condition(), target.name)
        draft = draft_manifest(sections, graphs, reference_case.SEED)
        expected = reference_case.make_reference(draft, self.networks.roles, self.domain)
        limits = {role: self._limit(evaluate(module, inputs[role].values()))
                  for role, module in self.networks.roles.items()}
        loop = _LOOP_FACTOR * max(limits.values())
        allowed = {f"{role}/{_output(role)[0]}": _ELSEWHERE_FACTOR * limit for role, limit in limits.items()}
        allowed |= {f"loop/{name}": _ELSEWHERE_FACTOR * loop for name in ("latent", "image")}
        reference = ReferenceFile(expected.to_arrays(), reference_case.SEED, allowed)

        def check(bundle: Bundle) -> Mapping[str, Any]:
            parities: list[GraphParity] = []
            for role, module in self.networks.roles.items():
                parities += compare_graph(bundle, role, module, {"random": inputs[role]}, limits[role])
            parities += compare_reference(bundle, max(limits.values()), loop)
            require(parities)
            return {"parity": as_table(parities)}

        return write_bundle(target, sections, graphs, reference, generator_card, check=check, force=force)

    def random_inputs(self) -> dict[str, Inputs]:
        """Random inputs of every graph, in the order of its `forward`; the same on every machine."""
        generator = torch.Generator().manual_seed(0)
        networks, image = self.networks, self.description.image
        last = len(networks.schedule.alphas_cumprod) - 1

        def noise(*shape: int) -> Tensor:
            return torch.randn(_SAMPLES, *shape, generator=generator)

        inputs: dict[str, Inputs] = {
            "denoiser": {"x": noise(*networks.latent), "timestep": torch.linspace(0, last, _SAMPLES).round()},
            "decoder": {"latent": noise(*networks.latent)}}
        if self._role is not None and networks.condition is not None:
            inputs[self._role] = self._sources(generator)
            inputs["denoiser"][_FED] = noise(*networks.condition)
        if "encoder" in networks.roles:
            picture = torch.rand(_SAMPLES, image.channels, *image.shape, generator=generator)
            inputs["encoder"] = {"image": picture, "posterior_noise": noise(*networks.latent)}
        return inputs

    @property
    def _role(self) -> str | None:
        """Of the condition's graph."""
        condition = self.description.condition
        return None if condition is None else encoder_role(condition)

    def _sources(self, generator: torch.Generator) -> Inputs:
        condition, shape = self.description.condition, self.description.image.shape
        if condition is not None and condition.kind == "tokens":
            attributes = torch.rand(_SAMPLES, len(self.domain.attributes), generator=generator)
            return {"attributes": attributes, "defined": torch.ones_like(attributes)}
        labels = torch.randint(0, len(self.domain.labels), (_SAMPLES, *shape), generator=generator)
        return {"one_hot": torch.nn.functional.one_hot(labels, len(self.domain.labels)).movedim(-1, 1).float()}

    def _condition(self) -> dict[str, Any] | None:
        """The condition's entry in the manifest."""
        condition = self.description.condition
        if condition is None:
            return None
        tokens = condition.kind == "tokens"
        return {"name": condition.kind, "kind": "vector" if tokens else "spatial",
                "source": "attributes" if tokens else "masks", "encoder": encoder_role(condition), "feeds": _FED}

    def _limit(self, expected: np.ndarray[Any, Any]) -> float:
        """Largest difference allowed of a graph whose outputs are these: a share of their range, if that is above 1."""
        return self.description.tolerance * max(1.0, float(np.ptp(expected)))

    def _graph(self, role: str, module: nn.Module, inputs: Inputs) -> GraphFile:
        name, meaning, limits = _output(role)
        with torch.no_grad():
            shape = module(*inputs.values()).shape
        specs = tuple(TensorSpec(key, "float32", (BATCH, *value.shape[1:]), *_MEANINGS[key])
                      for key, value in inputs.items())
        return GraphFile(role, export_graph(module, inputs, [name]), specs,
                         (TensorSpec(name, "float32", (BATCH, *shape[1:]), meaning, limits),),
                         torchscript=trace(module, inputs) if self.torchscript else None)


def _output(role: str) -> tuple[str, str, tuple[float, float] | None]:
    """Name, meaning and range of what a graph gives."""
    return _OUTPUTS.get(role, (_FED, *_MEANINGS[_FED]))
