"""A small distribution of acquisitions, and the ONNX nodes of a last graph for it, written without torch."""

from typing import Any

import numpy as np
import onnx
from onnx.helper import make_node

from cldm_runtime.bundle.acquisition_spec import VALUES, AcquiredValue, AcquisitionSpec
from cldm_runtime.bundle.latent_prior_spec import full_matrix, triangle_of
from cldm_runtime.domains.acquisition.band import SHARP, cosine_basis, frequencies
from cldm_runtime.domains.acquisition.distribution import triangle_factor

SCORES = (-2.0, 0.0, 2.0)
TABLES = {"noise_level": (0.01, 0.03, 0.09), "row_pixel_mm": (1.2, 1.4, 1.8), "column_pixel_mm": (1.2, 1.5, 1.8),
          "top": (-3.0, -2.0, 3.0)}  # -2 and -3 are no rim


def acquisition_spec(residual_noise: float = 0.0) -> AcquisitionSpec:
    """Noise of 0.01 to 0.09, pixels of 1.2 to 1.8 mm that are alike along both axes, a rim now and then."""
    values = tuple(AcquiredValue(name, "fraction" if name == "noise_level" else "mm", f"{name}_score", SCORES,
                                 TABLES.get(name, TABLES["top"]),
                                 *((0.0, 0.2) if name == "noise_level" else (None, None))) for name in VALUES)
    correlation = np.eye(len(VALUES))
    correlation[1, 2] = correlation[2, 1] = 0.8
    return AcquisitionSpec("real", 0.0, residual_noise, SHARP.shares, SHARP.weights, values, triangle_of(correlation))


def acquisition_nodes(shape: tuple[int, int], spec: AcquisitionSpec) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """Of the graph for phase-sensitive images with a sharp band and pixels of 1 mm."""
    factor = triangle_factor(full_matrix(spec.correlation, len(spec.values)))
    knots, tables = np.array(SCORES), np.array([value.values for value in spec.values])
    slopes = np.diff(tables, axis=1) / np.diff(knots)
    constants: dict[str, Any] = {
        "factor": factor.T, "middle": knots[1], "first": slopes[:, 0], "second": slopes[:, 1],
        "at_middle": tables[:, 1], "zero": 0.0, "one": 1.0, "half": 0.5, "end": 1.1, "width": 0.1,
        "residual": spec.residual_noise**2, "last": np.array([1]), "flat": np.array([-1, 1, 1, 1]),
        "down": cosine_basis(shape[0]), "up": cosine_basis(shape[0]).T, "across": cosine_basis(shape[1]).T,
        "back": cosine_basis(shape[1]), "f_rows": frequencies(shape[0]), "f_columns": frequencies(shape[1]),
        "row_shape": np.array([-1, 1, shape[0], 1]), "column_shape": np.array([-1, 1, 1, shape[1]]),
        "y": np.arange(shape[0]), "y_end": shape[0] - np.arange(shape[0]), "x": np.arange(shape[1]),
        "x_end": shape[1] - np.arange(shape[1])}
    nodes = [make_node("Unsqueeze", [name, "last"], [f"{name}_column"]) for name in spec.inputs]
    nodes += [
        make_node("Concat", [f"{name}_column" for name in spec.inputs], ["independent"], axis=1),
        make_node("MatMul", ["independent", "factor"], ["scores"]), make_node("Sub", ["scores", "middle"], ["off"]),
        make_node("Min", ["off", "zero"], ["below"]), make_node("Max", ["off", "zero"], ["above"]),
        make_node("Mul", ["below", "first"], ["fall"]), make_node("Mul", ["above", "second"], ["rise"]),
        make_node("Sum", ["at_middle", "fall", "rise"], ["raw"]), make_node("Max", ["raw", "zero"], ["values"]),
        make_node("Split", ["values"], list(VALUES), axis=1, num_outputs=len(VALUES)),
        make_node("Mul", ["noise_level", "noise_level"], ["power"]), make_node("Sub", ["power", "residual"], ["rest"]),
        make_node("Max", ["rest", "zero"], ["positive"]), make_node("Sqrt", ["positive"], ["level_column"]),
        make_node("Reshape", ["level_column", "flat"], ["level"])]
    for axis in ("row", "column"):
        nodes += [make_node("Max", [f"{axis}_pixel_mm", "one"], [f"{axis}_mm"]),
                  make_node("Div", ["half", f"{axis}_mm"], [f"{axis}_cut"]),
                  make_node("Div", [f"f_{axis}s", f"{axis}_cut"], [f"{axis}_share"]),
                  make_node("Sub", ["end", f"{axis}_share"], [f"{axis}_left"]),
                  make_node("Div", [f"{axis}_left", "width"], [f"{axis}_steep"]),
                  make_node("Clip", [f"{axis}_steep", "zero", "one"], [f"{axis}_flat"]),
                  make_node("Reshape", [f"{axis}_flat", f"{axis}_shape"], [f"{axis}_band"])]
    for axis, sides in (("row", (("top", "y"), ("bottom", "y_end"))), ("column", (("left", "x"), ("right", "x_end")))):
        for (side, place), offset in zip(sides, ("one", "zero"), strict=True):
            nodes += [make_node("Round", [side], [f"{side}_whole"]),
                      make_node("Sub", [place, f"{side}_whole"], [f"{side}_off"]),
                      make_node("Add", [f"{side}_off", offset], [f"{side}_in"]),
                      make_node("Clip", [f"{side}_in", "zero", "one"], [f"{side}_flat"]),
                      make_node("Reshape", [f"{side}_flat", f"{axis}_shape"], [f"{side}_inside"])]
    nodes += [
        make_node("MatMul", ["down", "image"], ["half_way"]), make_node("MatMul", ["half_way", "across"], ["waves"]),
        make_node("Mul", ["thermal_noise", "level"], ["noise"]), make_node("Add", ["waves", "noise"], ["sampled"]),
        make_node("Mul", ["sampled", "row_band"], ["cut_rows"]), make_node("Mul", ["cut_rows", "column_band"], ["cut"]),
        make_node("MatMul", ["up", "cut"], ["half_back"]), make_node("MatMul", ["half_back", "back"], ["unclipped"]),
        make_node("Clip", ["unclipped", "zero", "one"], ["clipped"]),
        make_node("Mul", ["clipped", "top_inside"], ["without_top"]),
        make_node("Mul", ["without_top", "bottom_inside"], ["without_rows"]),
        make_node("Mul", ["without_rows", "left_inside"], ["without_left"]),
        make_node("Mul", ["without_left", "right_inside"], ["acquired"])]
    return nodes, {name: value if np.asarray(value).dtype.kind == "i" and name in _WHOLE
                   else np.asarray(value, dtype=np.float32) for name, value in constants.items()}


_WHOLE = ("last", "flat", "row_shape", "column_shape")
