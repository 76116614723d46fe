"""Hearts whose labels have greys of their own, and segmenters of every form that read the labels off those greys."""

import sys
from pathlib import Path

import numpy as np
from onnx.helper import make_node

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import DatasetSpec, create_dataset
from onnx_fixtures import GREYS, model, tensor

DOMAIN = get_domain("lge")
LABELS = '0 = "background"\n1 = "lv_cavity"\n2 = "healthy_myocardium"\n3 = "infarct"\n4 = "mvo"\n'


def heart(angle: float, size: int = 64, row: float = 0.0) -> np.ndarray:
    """A ring with a sector of infarct through the whole wall, `row` pixels below the centre."""
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    y = y - row
    r, theta = np.hypot(y, x) * 64 / size, np.degrees(np.arctan2(y, x)) % 360
    return np.where(r < 12, 1, np.where(r >= 20, 0, np.where(theta < angle, 3, 2))).astype(np.uint8)


MASKS = np.stack([heart(angle, row=4) for angle in (0, 60, 120, 200)])


def write_hearts(path: Path, masks: np.ndarray = MASKS, **columns: object) -> Path:
    """A dataset of 1 mm pixels in which every label has its grey."""
    with create_dataset(path, DatasetSpec(DOMAIN, masks.shape[1:], (1.0, 1.0))) as writer:
        writer.append(images=GREYS[masks][:, None], masks=masks, **columns)  # type: ignore[arg-type]
    return path


def write_network(path: Path, kind: str = "logits", size: tuple[int, int] = (64, 64), batch: int | str = "N",
                  last: bool = False) -> Path:
    """An ONNX file that reads the greys: -100 (image - grey)**2 for each label as logits, softmax, the nearest label as
    labels, or for sigmoid and regions the three regions cavity, wall, infarct. last: channels are the last axis."""
    nodes = [make_node("Transpose", ["input"], ["image"], perm=[0, 3, 1, 2])] if last else [
        make_node("Identity", ["input"], ["image"])]
    nodes += [make_node("Sub", ["image", "greys"], ["off"]), make_node("Mul", ["off", "off"], ["square"]),
              make_node("Mul", ["square", "slope"], ["logits"]), make_node("Softmax", ["logits"], ["soft"], axis=1)]
    constants = {"greys": GREYS.reshape(1, -1, 1, 1), "slope": np.float32(-100)}
    channels = len(GREYS)
    if kind in ("sigmoid", "regions"):
        channels = 3
        members = np.zeros((3, len(GREYS), 1, 1), np.float32)
        members[0, 1] = members[1, 2:5] = members[2, 3:5] = 1
        constants |= {"members": members, "half": np.float32(0.5)}
        nodes += [make_node("Conv", ["soft", "members"], ["shares"])]
        nodes += [make_node("Sub", ["shares", "half"], ["found"])] if kind == "regions" else [
            make_node("Identity", ["shares"], ["found"])]
    elif kind == "labels":
        nodes += [make_node("ArgMax", ["logits"], ["places"], axis=1, keepdims=0),
                  make_node("Cast", ["places"], ["found"], to=1)]
    else:
        nodes.append(make_node("Identity", ["soft" if kind == "softmax" else "logits"], ["found"]))
    shape = size if kind == "labels" else (*size, channels) if last else (channels, *size)
    nodes.append(make_node("Transpose", ["found"], ["output"], perm=[0, 2, 3, 1]) if last and kind != "labels"
                 else make_node("Identity", ["found"], ["output"]))
    source = tensor("input", *((*size, 1) if last else (1, *size)))
    target = tensor("output", *shape)
    if batch != "N":
        source, target = (type(spec)(spec.name, spec.dtype, (batch, *spec.shape[1:]), "") for spec in (source, target))
    path.write_bytes(model(nodes, (source,), (target,), constants))
    return path


def describe(folder: Path, kind: str = "logits", *, more: str = "", frame: str = "", output: str = "",
             labels: str = LABELS, name: str = "greys", **network: object) -> Path:
    """A description of `write_network`'s file. more, frame, output: further lines of the top, [input] and [output]."""
    write_network(folder / f"{name}.onnx", kind, **network)  # type: ignore[arg-type]
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\nonnx = "{name}.onnx"\n{more}\n[input]\n{frame}\n[output]\nkind = "{kind}"\n'
                    f"{output}\n[labels]\n{labels}")
    return path


def read_greys(images: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """The label whose grey is nearest: a segmenter of one's own."""
    assert spacing_mm == (1.0, 1.0) and images.ndim == 3
    return np.abs(images[..., None] - GREYS).argmin(axis=-1)


PROGRAM = '''import sys
from pathlib import Path
import nibabel, numpy as np
greys = np.array([0.20, 0.50, 0.05, 0.95, 0.75])
images, labels = map(Path, sys.argv[1:])
files = sorted(images.iterdir()) if images.is_dir() else [images]
for file in files:
    scan = nibabel.load(file)
    found = np.abs(scan.get_fdata()[..., None] - greys).argmin(axis=-1).astype(np.uint8)
    target = labels / file.name.replace("_0000", "") if images.is_dir() else labels
    nibabel.save(nibabel.Nifti1Image(found, scan.affine), target)
'''


def describe_program(folder: Path, images: str = "{images}", labels: str = "{labels}", text: str = PROGRAM) -> Path:
    """A description of a program that reads and writes NIfTI."""
    (folder / "program.py").write_text(text)
    path = folder / "program.toml"
    path.write_text(f'name = "program"\ncommand = ["{sys.executable}", "program.py", "{images}", "{labels}"]\n')
    return path
