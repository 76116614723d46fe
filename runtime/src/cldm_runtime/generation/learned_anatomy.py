"""Anatomies learned from a cohort: label maps sampled with the decoder of an anatomy bundle.

A draw samples a latent vector from the bundle's prior, conditional on the requested attributes, decodes it, tidies the
map and measures it. If the measured attributes are off, the latent vector is moved along the gain of the prior (the
mean change of z with an attribute) by Broyden's method (Math. Comp. 19, 1965), a few times. A draw that does not come
within the tolerances is rejected, and another one is made.

symbol   meaning
z        latent vector (d,)
K        gain (d, G) for attributes in units of their tolerances: z moves by K t where the target moves by t
e        measured minus requested, in tolerances (G,)
B        estimate of de/dt (G, G); the identity where maps follow the prior
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..bundle.bundle import Bundle
from ..bundle.latent_prior_spec import Vector
from ..bundle.sources import needs_maps
from ..domains.domain import Anatomy, Domain, Drawn
from ..domains.generic import COUNT
from ..domains.labels import LabelMap
from ..domains.nearest import UnmetRequest, nearest_request
from ..domains.rotation import rotate_labels
from ..engines.engine import Engine
from ..engines.open import open_graph
from ..errors import BundleError, InputError, list_faults
from ..noise import Purpose, Stream
from .latent_prior import LatentPrior

KIND = "anatomy"
_DRAWS = 200
_CORRECTIONS = 8
# A row passes if far fewer draws meet it than generation may make, so generation does not fail on it.
_TRIALS, _TRIAL_DRAWS = 4, 25
_REDRAWS = 50  # of an attribute that the request leaves out, until it lies in its range
_LONGEST_STEP = 4.0  # tolerances: of the target's move in one correction
_EXACTNESS = 0.5  # standard deviation allowed for a requested attribute, as a share of its tolerance
_BY_CONSTRUCTION = 1e-3  # the same for an attribute that cannot be measured on a map, as a share of its range


@dataclass(frozen=True)
class LearnedAnatomy:
    """Samples label maps with a decoder; see `cldm_runtime.domains.domain.Anatomy`.

    base: the domain's own anatomy, which finds contradictory requests; None for a domain without one. Measurable
    attributes that a request leaves out are free: the sampled map decides them.
    """

    decoder: Engine
    prior: LatentPrior
    domain: Domain
    base: Anatomy | None
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    bundle: Bundle

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the decoder itself."""
        return LearnedAnatomy.load, (self.bundle,)

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    @classmethod
    def load(cls, bundle: Bundle) -> "LearnedAnatomy":
        """Open the decoder of an anatomy bundle. It always runs on one core of the CPU and on one map at a time, so a
        label map depends only on its sample, and not on the generator's provider. Raises BundleError for a bundle of
        another kind."""
        manifest, domain = bundle.manifest, bundle.domain()
        if manifest.kind != KIND or manifest.latent_prior is None:
            raise BundleError(f"bundle {bundle.path} is a {manifest.kind}, expected an anatomy. Pass the folder of an "
                              f"anatomy bundle, for example exported/{domain.name}-anatomy.")
        names = tuple(spec.name for spec in manifest.attributes)
        exactness = {a.name: _EXACTNESS * a.tolerance if a.measurable else _BY_CONSTRUCTION * (a.high - a.low)
                     for a in domain.attributes}
        return cls(open_graph(bundle, "decoder", threads=1),
                   LatentPrior(manifest.latent_prior, names, exactness), domain,
                   domain.anatomy, manifest.image.shape, manifest.image.spacing_mm, bundle)

    def identity(self) -> dict[str, str]:
        nature = self.bundle.manifest.nature
        return {"anatomy": "learned", "anatomy_bundle": self.name,
                "anatomy_manifest_sha256": self.bundle.manifest_sha256,
                **({"anatomy_nature": nature} if nature else {})}

    def contradictions(self, request: Mapping[str, float]) -> list[str]:
        faults = [f"{name} cannot be requested of anatomy {self.name}. It takes: {', '.join(self.prior.names)}"
                  for name in request if name in self.domain.attribute_names and name not in self.prior.names]
        return faults or ([] if self.base is None else self.base.contradictions(request))

    def faults(self, request: Mapping[str, float]) -> list[str]:
        """Contradictions of the request, or the fault that no completion of it was met in a few trials."""
        if faults := self.contradictions(request):
            return faults
        unmet = self._trial(request)
        return [] if unmet is None else [str(unmet)]

    def nearest(self, request: Mapping[str, float]) -> dict[str, float] | None:
        contradicts = bool(self.contradictions(request))
        consistent = (None if self.base is None else self.base.nearest(request)) if contradicts else request
        return None if consistent is None else nearest_request(consistent, self._trial)

    def _trial(self, request: Mapping[str, float]) -> UnmetRequest | None:
        """The first of a few failed trials; None if one of them met the request."""
        first = None
        for trial in range(_TRIALS):
            try:
                complete = self.complete(request, Stream(0, trial, Purpose.CONDITION))
                self.attempt(complete, Stream(0, trial, Purpose.ANATOMY), limit=_TRIAL_DRAWS)
                return None
            except UnmetRequest as error:
                first = first or error
        return first

    def complete(self, request: Mapping[str, float], stream: Stream,
                 table: NDArray[np.float64] | None = None) -> dict[str, float]:
        """The request with samples from the prior for the lesion (whether there is one, and its size) and for
        attributes that cannot be measured on a map, if left out. Other attributes stay open. `table` has no effect:
        the prior is the distribution to sample from."""
        complete, size = dict(request), self.domain.lesion_size
        component = self._pick(complete, stream)
        if component is None:
            raise self._unmet(complete, None, 0)
        if not self.prior.lesion[component]:
            complete = self._constants(component) | complete
        for attribute in self.domain.attributes:
            if attribute.name in self.prior.names and attribute.name not in complete and (
                    attribute.name == size or not attribute.measurable):
                mean, deviation = self.prior.attribute(component, attribute.name, complete)
                drawn = (stream.normal(mean, deviation) for _ in range(_REDRAWS))
                inside = (value for value in drawn if attribute.low < value <= attribute.high)
                complete[attribute.name] = next(inside, float(np.clip(mean, attribute.low, attribute.high)))
        return complete

    def draw(self, request: Mapping[str, float], stream: Stream, *, shape: tuple[int, ...],
             spacing_mm: tuple[float, ...], rotation_deg: float = 0.0) -> Drawn:
        """See `cldm_runtime.domains.domain.Anatomy.draw`; shape and spacing are those of the bundle."""
        if (shape, spacing_mm) != (self.shape, self.spacing_mm):
            raise InputError(f"anatomy {self.name} draws {self.shape} pixels of {self.spacing_mm} mm, requested "
                             f"{shape} of {spacing_mm} mm.")
        return self.attempt(request, stream, rotation_deg)

    def attempt(self, request: Mapping[str, float], stream: Stream, rotation_deg: float = 0.0,
                limit: int = _DRAWS) -> Drawn:
        """`draw` with at most `limit` draws. Raises InputError."""
        best: tuple[float, Vector] | None = None
        for draws in range(1, limit + 1):
            component = self._pick(request, stream)
            if component is None:
                break
            search = _Search(self, request, component, rotation_deg)
            labels = search.run(stream)
            if labels is not None:
                return Drawn(labels, draws)
            if search.best is not None and (best is None or search.best[0] < best[0]):
                best = search.best
        raise self._unmet(request, None if best is None else best[1], limit)

    def _pick(self, request: Mapping[str, float], stream: Stream) -> int | None:
        """A component of the prior, sampled by its weight for the request; None if no component can meet it."""
        size = request.get(self.domain.lesion_size or "")
        weights = self.prior.weights(request, None if size is None else size > 0)
        return stream.choice(weights) if weights.any() else None

    def _constants(self, component: int) -> dict[str, float]:
        """Attributes that are constant in a component; NaN if undefined there."""
        prior = self.prior
        rows = {name: prior.dimensions + number for number, name in enumerate(prior.names)}
        return {name: float(prior.means[component][row]) for name, row in rows.items()
                if not prior.covariances[component][row, row]}

    def decode(self, z: Vector, rotation_deg: float = 0.0) -> LabelMap | None:
        """The label map of a latent vector, tidied and turned; None if it is not a valid anatomy."""
        logits = self.decoder.run({"z": z.astype(np.float32)[None]})["logits"][0]
        labels: LabelMap | None = logits.argmax(axis=0).astype(np.uint8)
        if labels is not None and self.domain.tidy is not None:
            labels = self.domain.tidy(labels)
        if labels is None or not rotation_deg:
            return labels
        return rotate_labels(labels, rotation_deg, self.spacing_mm)

    def _unmet(self, request: Mapping[str, float], nearest: Vector | None, draws: int) -> UnmetRequest:
        names = [name for name in self.prior.requested(request)]
        fault = (f"no map of anatomy {self.name} meets "
                 f"{', '.join(f'{name} = {request[name]:.3g}' for name in names) or 'this'}")
        if nearest is None:
            return UnmetRequest(f"{fault}: its cohort shows nothing like it")
        reached = dict(zip(measurable_names(self.domain, names), nearest.tolist(), strict=True))
        values = ", ".join(f"{name} = {value:.3g}" for name, value in reached.items())
        return UnmetRequest(f"{fault}; the nearest of {draws} draws has {values}. Move the row towards it: a learned "
                            "anatomy draws what its cohort shows", {**request, **reached})


def learned_domain(generator: Bundle, anatomy: Bundle) -> Domain:
    """The generator's domain, with label maps sampled by the anatomy bundle.

    Raises InputError if the generator needs no label maps, BundleError if the two bundles do not fit.
    """
    if not needs_maps(generator.manifest):
        raise InputError(f"bundle {generator.path} makes images without label maps, so it needs no anatomy. "
                         "Leave the learned anatomy out.")
    learned = LearnedAnatomy.load(anatomy)
    of_anatomy, of_generator = ({"domain": each.domain, "labels": each.labels.names, "shape": each.image.shape,
                     "spacing_mm": each.image.spacing_mm} for each in (anatomy.manifest, generator.manifest))
    faults = [f"{name}: {_text(of_anatomy[name])}, the generator has {_text(of_generator[name])}" for name in of_anatomy
              if of_anatomy[name] != of_generator[name]]
    if faults:
        raise BundleError(list_faults(f"anatomy bundle {anatomy.path} does not fit generator {generator.path}. Export "
                                      "both from one configuration.", faults))
    return replace(learned.domain, anatomy=learned)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def measurable_names(domain: Domain, names: list[str]) -> list[str]:
    """Those of the names that can be measured on a label map, in the domain's order."""
    return [attribute.name for attribute in domain.attributes if attribute.measurable and attribute.name in names]


class _Search:
    """One draw: a latent vector, and the moves that bring its map to the requested attributes."""

    def __init__(self, anatomy: LearnedAnatomy, request: Mapping[str, float], component: int,
                 rotation_deg: float) -> None:
        self.anatomy, self.rotation_deg = anatomy, rotation_deg
        requested = list(anatomy.prior.requested(request))
        names = measurable_names(anatomy.domain, requested)
        self.columns = [anatomy.domain.attribute_names.index(name) for name in names]
        self.target = np.array([request[name] for name in names])
        self.tolerance = anatomy.domain.tolerances[self.columns]
        self.counts = np.array([anatomy.domain.attributes[column].unit == COUNT for column in self.columns], bool)
        self.lesion = bool(anatomy.prior.lesion[component])
        self.start = anatomy.prior.latent(component, request)
        self.gain = self.start.gain[:, [requested.index(name) for name in names]] * self.tolerance
        self.best: tuple[float, Vector] | None = None  # the largest error so far, in tolerances, and what was measured

    def run(self, stream: Stream) -> LabelMap | None:
        """The label map, or None if the draw is rejected."""
        z = self.start.mean + self.start.root @ stream.normals((len(self.start.mean),))
        slope, step, before = np.eye(len(self.target)), np.zeros(len(self.target)), np.zeros(len(self.target))
        for correction in range(_CORRECTIONS + 1):
            labels = self.anatomy.decode(z, self.rotation_deg)
            error = None if labels is None else self._error(labels)
            if error is None:
                return None
            if np.abs(error).max(initial=0.0) <= 1.0:
                return labels
            if correction and step @ step > 0:
                slope += np.outer(error - before - slope @ step, step) / (step @ step)
            newton: Vector = -np.linalg.lstsq(slope, error, rcond=0.1)[0].astype(np.float64)
            step, before = newton * min(1.0, _LONGEST_STEP / max(float(np.linalg.norm(newton)), 1e-9)), error
            z = z + self.gain @ step
        return None

    def _error(self, labels: LabelMap) -> Vector | None:
        """e of a map; None if it lacks a requested attribute, if only one of map and request has a lesion, or if it has
        another number of pieces: nothing moves that by degrees."""
        domain = self.anatomy.domain
        values = domain.measure(labels[None], self.anatomy.spacing_mm).values[0].astype(np.float64)
        holds = domain.lesion is not None and bool(domain.labels.region(labels, domain.lesion).any())
        measured = values[self.columns]
        if holds != self.lesion or not np.isfinite(measured).all():
            return None
        error: Vector = (measured - self.target) / self.tolerance
        largest = float(np.abs(error).max(initial=0.0))
        if self.best is None or largest < self.best[0]:
            self.best = largest, measured
        return None if (np.abs(error[self.counts]) > 1.0).any() else error
