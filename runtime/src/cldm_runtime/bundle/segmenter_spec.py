"""The `segmenter` section of a bundle's manifest: everything that the predictor needs besides the graph.

The numbers mean what they mean in nnU-Net v2's 2-D configuration (Isensee et al., Nature Methods 2021); axes are
counted after `axis_order` has been applied.
"""

from dataclasses import dataclass

KIND = "nnunet-2d"
DECISIONS = ("argmax", "regions")
SCHEMES = (
    "ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization", "RGBTo01Normalization")
CT_KEYS = ("mean", "std", "percentile_00_5", "percentile_99_5")


@dataclass(frozen=True)
class ChannelNormalisation:
    """How one image channel is normalised. `scheme` is the name of nnU-Net's class.

    `use_mask`: z-score over the non-zero pixels only. The four intensity properties of the training foreground are
    needed by CTNormalization and ignored by the others.
    """

    scheme: str
    use_mask: bool = False
    mean: float | None = None
    std: float | None = None
    percentile_00_5: float | None = None
    percentile_99_5: float | None = None

    def faults(self, where: str) -> list[str]:
        if self.scheme not in SCHEMES:
            return [f"{where}.scheme: found {self.scheme!r}, expected one of {', '.join(SCHEMES)}"]
        if self.scheme == "CTNormalization":
            absent = [key for key in CT_KEYS if getattr(self, key) is None]
            return [f"{where}.{key}: missing, CTNormalization needs it" for key in absent]
        return []


@dataclass(frozen=True)
class SegmenterSpec:
    """Contents of the manifest's `segmenter` section.

    patch_size         (rows, columns) that the graph takes
    label_values       network channel -> label value of the bundle's domain
    spacing_mm         (rows, columns) that the network was trained at; images are resampled to it
    normalisation      one entry for each image channel
    axis_order         in-plane axes as the network sees them: [0, 1], or [1, 0] where the plan transposes
    crop_to_nonzero    crop to the bounding box of the non-zero pixels before normalising
    image_order        spline order of resampling images, logits_order that of resampling logits back
    tile_step_size     largest step between tiles, as a fraction of the patch
    use_gaussian       weight tiles by a Gaussian of standard deviation gaussian_sigma_scale * patch_size
    mirror_axes        axes of test-time mirroring (0 = rows, 1 = columns); all their combinations are averaged
    mirror_by_default  whether mirroring is on when the caller does not say
    decision           "argmax" over the channels; "regions": channel after channel, c paints label_values[c] where its
                       logit is positive, later channels over earlier ones
    """

    patch_size: tuple[int, int]
    label_values: tuple[int, ...]
    spacing_mm: tuple[float, float]
    normalisation: tuple[ChannelNormalisation, ...]
    axis_order: tuple[int, int] = (0, 1)
    crop_to_nonzero: bool = True
    image_order: int = 3
    logits_order: int = 1
    tile_step_size: float = 0.5
    use_gaussian: bool = True
    gaussian_sigma_scale: float = 0.125
    mirror_axes: tuple[int, ...] = (0, 1)
    mirror_by_default: bool = True
    decision: str = "argmax"
    kind: str = KIND

    def faults(self) -> list[str]:
        """What is wrong with the values, taken together."""
        checks = (
            (self.kind == KIND, f"kind: found {self.kind!r}, supported: {KIND}"),
            (len(self.patch_size) == 2 and min(self.patch_size) >= 1, "patch_size: expected two positive integers"),
            (len(self.spacing_mm) == 2 and min(self.spacing_mm) > 0, "spacing_mm: expected two positive numbers"),
            (sorted(self.axis_order) == [0, 1], "axis_order: expected [0, 1] or [1, 0]"),
            (len(self.label_values) >= 1 and all(0 <= v <= 255 for v in self.label_values),
             "label_values: expected a value 0..255 for each channel of the network"),
            (len(self.normalisation) >= 1, "normalisation: expected an entry for each image channel"),
            (0 <= self.image_order <= 5 and 0 <= self.logits_order <= 5, "image_order, logits_order: expected 0..5"),
            (0.05 <= self.tile_step_size <= 1, "tile_step_size: expected a number from 0.05 to 1"),
            (0 < self.gaussian_sigma_scale <= 10, "gaussian_sigma_scale: expected a number in (0, 10]"),
            (set(self.mirror_axes) <= {0, 1} and len(set(self.mirror_axes)) == len(self.mirror_axes),
             "mirror_axes: expected some of 0 (rows) and 1 (columns)"),
            (self.decision in DECISIONS, f"decision: found {self.decision!r}, expected one of {', '.join(DECISIONS)}"),
        )
        found = [f"segmenter.{message}" for good, message in checks if not good]
        for channel, normalisation in enumerate(self.normalisation):
            found += normalisation.faults(f"segmenter.normalisation[{channel}]")
        return found
