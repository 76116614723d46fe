"""A tiny anatomy bundle: a ring of fixed size whose infarct has the half-width z0 (rad) about the angle z2 and the
depth z1 (share of the wall), so that by hand

    infarct_size = transmurality z0 / pi      transmurality ~ z1      endocardial_surface_length = z0 / pi
"""

from pathlib import Path

import numpy as np
from onnx.helper import make_node

from cldm_runtime.bundle.latent_prior_spec import LatentComponent, LatentPriorSpec, triangle_of
from cldm_runtime.bundle.manifest import AttributeSpec, Manifest, ReferenceSpec
from cldm_runtime.domains.registry import get_domain
from onnx_fixtures import SEED, Graph, _common, _finish, model, tensor

INNER, OUTER, STEEP, AWAY = 20.0, 44.0, np.float32(10), np.float32(-50)


def make_anatomy(folder: Path, *, shape: tuple[int, int] = (128, 128), name: str = "tiny-anatomy") -> Path:
    """Write an anatomy bundle of the lge domain and return its folder."""
    folder.mkdir(parents=True)
    graph, domain = _decoder(shape), get_domain("lge")
    manifest = Manifest(
        **_common(name, "anatomy", shape), graphs={"decoder": graph.write(folder, "decoder")},
        reference=ReferenceSpec("reference.npz", "0" * 64, SEED, {"decoder/logits": 1e-4}),
        attributes=tuple(AttributeSpec(a.name, a.unit, a.low, a.high, 0.5, 0.25) for a in domain.attributes),
        latent_prior=_prior())
    return _finish(folder, manifest, {"decoder": graph}, None)


def _prior() -> LatentPriorSpec:
    """Four fifths with infarct: z0 in 0.5..2 rad, z1 in 0.3..0.9; the slice position is independent of all."""
    random = np.random.default_rng(0)
    width, depth, angle = random.uniform(0.5, 2, 4000), random.uniform(0.3, 0.9, 4000), random.normal(0, 0.3, 4000)
    arc = width / np.pi
    joint = np.stack([width, depth, angle, arc * depth, depth, arc, random.uniform(0, 1, 4000)])
    without = np.diag([0.01, 0.01, 0.01, 0.0, 0.0, 0.0, 0.08])
    return LatentPriorSpec(3, (
        LatentComponent(True, 0.8, tuple(joint.mean(1).tolist()), triangle_of(np.cov(joint))),
        LatentComponent(False, 0.2, (-1.0, 0.5, 0.0, 0.0, None, 0.0, 0.5), triangle_of(without))))


def _decoder(shape: tuple[int, int]) -> Graph:
    rows, columns = np.indices(shape)
    up, right = (shape[0] - 1) / 2 - rows, columns - (shape[1] - 1) / 2
    radius, theta = np.hypot(up, right), np.arctan2(up, right).astype(np.float32)
    depth = ((radius - INNER) / (OUTER - INNER)).astype(np.float32)
    regions = np.stack([radius >= OUTER, radius < INNER, (radius >= INNER) & (radius < OUTER)])
    planes = np.where(regions, 0, AWAY).astype(np.float32)[None]
    off_wall = planes[:, 2:]
    nodes = [make_node("Split", ["z", "ones"], ["z0", "z1", "z2"], axis=1)]
    nodes += [make_node("Unsqueeze", [f"z{i}", "axes"], [f"p{i}"]) for i in range(3)]
    nodes += [make_node("Sub", ["theta", "p2"], ["from_angle"]), make_node("Abs", ["from_angle"], ["along"]),
              make_node("Sub", ["p0", "along"], ["inside"]), make_node("Sub", ["p1", "depth"], ["above"]),
              make_node("Min", ["inside", "above"], ["margin"]), make_node("Mul", ["margin", "steep"], ["scaled"]),
              make_node("Add", ["scaled", "off_wall"], ["infarct"]), make_node("Mul", ["infarct", "zero"], ["blank"]),
              make_node("Add", ["blank", "planes"], ["others"]), make_node("Add", ["blank", "never"], ["mvo"]),
              make_node("Concat", ["others", "infarct", "mvo"], ["logits"], axis=1)]
    constants = {"ones": np.array([1, 1, 1]), "axes": np.array([2, 3]), "theta": theta, "depth": depth, "steep": STEEP,
                 "off_wall": off_wall, "zero": np.float32(0), "planes": planes, "never": 2 * AWAY}
    inputs, outputs = (tensor("z", 3),), (tensor("logits", 5, *shape),)

    def function(z: np.ndarray) -> dict[str, np.ndarray]:
        z0, z1, z2 = (z[:, i].reshape(-1, 1, 1, 1) for i in range(3))
        infarct = STEEP * np.minimum(z0 - np.abs(theta - z2), z1 - depth) + off_wall
        return {"logits": np.concatenate([planes + 0 * infarct, infarct, 2 * AWAY + 0 * infarct], axis=1)}

    return Graph(model(nodes, inputs, outputs, constants), inputs, outputs, function)
