"""Attacks on bundles: names, links, hashes, the manifest, the graphs and the reference."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .corpus import each, edit_json, hole, pipe

HUGE = 2**40


def edited(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "manifest.json", change)


def text(content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / "manifest.json").write_bytes(data)


def replaced(folder: Path, section: Callable[[Any], Any], data: bytes) -> None:
    """Put other bytes in the place of a listed file, with the hash that they have."""
    def change(manifest: Any) -> None:
        spec = section(manifest)
        (folder / spec["file"]).write_bytes(data)
        spec["sha256"] = hashlib.sha256(data).hexdigest()

    edit_json(folder / "manifest.json", change)


def graph(*nodes: Any, initializers: Sequence[Any] = (), sparse: Sequence[Any] = ()) -> Callable[[Path], None]:
    """The decoder's graph, made of other nodes."""
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])] for name in ("latent", "image")]
    content = helper.make_graph(list(nodes), "g", *ends, list(initializers), sparse_initializer=list(sparse))
    model = helper.make_model(content, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model_bytes(model.SerializeToString())


def model_bytes(data: bytes) -> Callable[[Path], None]:
    return lambda folder: replaced(folder, lambda manifest: manifest["graphs"]["decoder"], data)


def node(operator: str, domain: str = "", inputs: Sequence[str] = ("latent",), **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), ["image"], domain=domain, **attributes)


def reference(data: bytes) -> Callable[[Path], None]:
    return lambda folder: replaced(folder, lambda manifest: manifest["reference"], data)


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return buffer.getvalue()


def npy(shape: str, data: bytes = b"", descr: str = "'<f4'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def linked(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).rename(folder.parent / name)
        os.symlink(folder.parent / name, folder / name)

    return spoil


def external_tensor() -> Any:
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def lying_tensor() -> Any:
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "w")
    tensor.dims[:] = [HUGE, HUGE]
    return tensor


def sparse_tensor() -> Any:
    return helper.make_sparse_tensor(numpy_helper.from_array(np.ones(1, np.float32), "s"),
                                     numpy_helper.from_array(np.zeros(1, np.int64), "i"), [1])


def altered(folder: Path) -> None:
    data = bytearray((folder / "denoiser.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "denoiser.onnx").write_bytes(data)


def prior(**changes: Any) -> Callable[[Path], None]:
    component = {"lesion": True, "share": 1.0, "mean": [0.0] * 6, "covariance": [1e308] * 21}
    return edited(lambda m: m.update(latent_prior={"dimensions": 2, "components": [component], **changes}))


each(
    "bundle",
    a_path_that_leads_out=edited(lambda m: m["graphs"]["decoder"].update(file="../../../etc/passwd")),
    an_absolute_path=edited(lambda m: m["reference"].update(file="/etc/passwd")),
    a_linked_graph=linked("decoder.onnx"),
    a_linked_manifest=linked("manifest.json"),
    a_pipe_for_a_graph=lambda folder: pipe(folder / "decoder.onnx"),
    a_pipe_for_a_manifest=lambda folder: pipe(folder / "manifest.json"),
    a_graph_of_a_terabyte=lambda folder: hole(folder / "decoder.onnx"),
    a_manifest_of_a_terabyte=lambda folder: hole(folder / "manifest.json"),
    a_truncated_graph=lambda folder: os.truncate(folder / "denoiser.onnx", 100),
    an_altered_graph=altered,
    a_newer_format=edited(lambda m: m.update(format_version=10**4000)),
    an_unknown_domain=edited(lambda m: m.update(domain="../lge")),
    deep_nesting=text('{"a":' * 100_000),
    deep_arrays=text("[" * 1_000_000),
    repeated_keys=edited(lambda m: json.dumps(m)[:-1] + ', "name": "another"}'),
    many_repeated_keys=text("{" + ",".join(f'"{i}":0' for i in range(80_000)) + ',"1":0}'),
    not_a_number=edited(lambda m: json.dumps({**m, "quality": {"a": float("nan")}})),
    an_infinity=edited(lambda m: json.dumps(m).replace('"eta": 0.0', '"eta": 1e999')),
    an_integer_that_no_float_holds=edited(lambda m: m["sampling"].update(eta=10**4000)),
    an_integer_of_a_million_digits=edited(lambda m: json.dumps(m).replace('"eta": 0.0', '"eta": ' + "9" * 1_000_000)),
    not_utf8=text(b'{"format": "cldm-bundle\xff"}'),
    tensors_of_petabytes=edited(lambda m: m["graphs"]["decoder"]["inputs"][0].update(shape=["N", HUGE, HUGE, HUGE])),
    tensors_of_many_axes=edited(lambda m: m["graphs"]["decoder"]["inputs"][0].update(shape=[2] * 100_000)),
    images_of_petabytes=edited(lambda m: m["image"].update(shape=[HUGE, HUGE])),
    batches_of_billions=edited(lambda m: m["sampling"].update(batch_size=HUGE)),
    a_seed_beyond_64_bits=edited(lambda m: m["reference"].update(seed=2**64)),
    a_spacing_of_nothing=edited(lambda m: m["image"].update(spacing_mm=[1e-300, 1.0])),
    a_hundred_thousand_faults=edited(lambda m: m["schedule"].update(alphas_cumprod=["x"] * 200_000)),
    many_unknown_keys=edited(lambda m: m.update({f"\x1b[2J{i}": 0 for i in range(50_000)})),
    a_terminal_escape_and_half_a_character=edited(lambda m: m.update({"\x1b]0;owned\x07\ud800": 1})),
    a_prior_of_huge_numbers=prior(),
    a_prior_of_negative_size=prior(dimensions=-4),
    a_prior_of_huge_size=prior(dimensions=HUGE),
    native_code=graph(node("EPContext", "com.microsoft", embed_mode=1, ep_cache_context=b"\x7fELF")),
    an_unknown_operator_domain=graph(node("Evil", "my.domain")),
    python_code=graph(node("PyOp", "ai.onnx.contrib")),
    control_flow=graph(node("Loop")),
    weights_in_another_file=graph(node("Add", inputs=("latent", "w")), initializers=[external_tensor()]),
    weights_of_petabytes=graph(node("Add", inputs=("latent", "w")), initializers=[lying_tensor()]),
    sparse_weights=graph(node("Add", inputs=("latent", "s")), sparse=[sparse_tensor()]),
    onnxruntimes_own_format=model_bytes(b"\x08\x00\x00\x00ORTM" + bytes(40)),
    a_graph_of_a_million_fields=model_bytes(b"\x08\x01" * 2_000_000),
    a_graph_of_garbage=model_bytes(bytes(range(256)) * 40),
    a_graph_that_is_none=model_bytes(b"\x3a\x02\x12\x00"),
    an_archive_that_unpacks_to_too_much=reference(archive({"x.npy": bytes(2**28)})),
    an_array_of_petabytes=reference(archive({"x.npy": npy(f"({HUGE}, 1024)", b"1234")})),
    an_array_of_negative_size=reference(archive({"x.npy": npy("(-1,)", b"1234")})),
    an_array_that_holds_objects=reference(archive({"x.npy": npy("(1,)", b"cos\nsystem\n", "'|O'")})),
    an_array_whose_header_is_code=reference(archive({"x.npy": npy("__import__('os').getpid()")})),
    an_array_whose_header_nests=reference(archive({"x.npy": npy("(" * 9000)})),
    an_archive_of_another_method=reference(archive({"x.npy": npy("(1,)", b"1234")}, zipfile.ZIP_LZMA)),
    an_archive_of_many_files=reference(archive({f"{i}.npy": b"" for i in range(20_000)}, zipfile.ZIP_STORED)),
    an_array_of_no_samples=reference(archive({"loop/in/x.npy": npy("()", b"1234"), "y.npy": npy("(0, 4)")})),
    an_archive_that_is_none=reference(b"PK\x03\x04" + bytes(100)),
)
