"""The `segmenter` section of a bundle's manifest: everything but the graph that the predictor needs.

The numbers have the meaning of nnU-Net v2's configurations (Isensee et al., Nature Methods 2021). Axes are counted
after `axis_order` has been applied.
"""

from dataclasses import dataclass

KINDS = {"nnunet-2d": 2, "nnunet-3d": 3}
"""Spatial axes of each kind of segmenter."""
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

    Everything with an entry for each axis has two for slices (rows, columns), three for volumes (depth first).

    patch_size         voxels that the graph takes along each axis
    label_values       network channel -> label value of the bundle's domain
    spacing_mm         mm between voxels that the network was trained at; images are resampled to it
    normalisation      one entry for each image channel
    axis_order         order of the spatial axes in the network's input: [0, 1], or [1, 0] if the plan transposes; for
                       volumes any order of 0, 1 and 2
    crop_to_nonzero    crop to the bounding box of the non-zero voxels before normalising
    image_order        spline order of resampling images, logits_order that of resampling logits back. Along the coarse
                       axis of anisotropic volumes both are 0, as in nnU-Net's plans
    tile_step_size     largest step between tiles, as a fraction of the patch
    use_gaussian       weight tiles by a Gaussian of standard deviation gaussian_sigma_scale * patch_size
    mirror_axes        axes of test-time mirroring (0 is the first); all their combinations are averaged
    mirror_by_default  whether mirroring is on when the caller does not say
    decision           "argmax" over the channels; "regions": channel after channel, c paints label_values[c] where its
                       logit is positive, later channels over earlier ones
    """

    patch_size: tuple[int, ...]
    label_values: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    normalisation: tuple[ChannelNormalisation, ...]
    axis_order: tuple[int, ...] = (0, 1)
    crop_to_nonzero: bool = True
    image_order: int = 3
    logits_order: int = 1
    tile_step_size: float = 0.5
    use_gaussian: bool = True
    gaussian_sigma_scale: float = 0.125
    mirror_axes: tuple[int, ...] = (0, 1)
    mirror_by_default: bool = True
    decision: str = "argmax"
    kind: str = "nnunet-2d"

    @property
    def axes(self) -> int:
        """Spatial axes of the images: 2 for slices, 3 for volumes."""
        return KINDS.get(self.kind, 2)

    def faults(self) -> list[str]:
        """The faults of all values."""
        axes, kinds = list(range(self.axes)), ", ".join(KINDS)
        checks = (
            (self.kind in KINDS, f"kind: found {self.kind!r}, supported: {kinds}"),
            (len(self.patch_size) == self.axes and min(self.patch_size) >= 1,
             f"patch_size: expected {self.axes} positive integers"),
            (len(self.spacing_mm) == self.axes and min(self.spacing_mm) > 0,
             f"spacing_mm: expected {self.axes} positive numbers"),
            (sorted(self.axis_order) == axes, f"axis_order: expected each of {axes} once"),
            (len(self.label_values) >= 1 and all(0 <= v <= 255 for v in self.label_values),
             "label_values: expected a value 0..255 for each channel of the network"),
            (len(self.normalisation) >= 1, "normalisation: expected an entry for each image channel"),
            (0 <= self.image_order <= 5 and 0 <= self.logits_order <= 5, "image_order, logits_order: expected 0..5"),
            (0.05 <= self.tile_step_size <= 1, "tile_step_size: expected a number from 0.05 to 1"),
            (0 < self.gaussian_sigma_scale <= 10, "gaussian_sigma_scale: expected a number in (0, 10]"),
            (set(self.mirror_axes) <= set(axes) and len(set(self.mirror_axes)) == len(self.mirror_axes),
             f"mirror_axes: expected some of {axes}, none twice"),
            (self.decision in DECISIONS, f"decision: found {self.decision!r}, expected one of {', '.join(DECISIONS)}"),
        )
        wrong = [f"segmenter.{message}" for good, message in checks if not good]
        for channel, normalisation in enumerate(self.normalisation):
            wrong += normalisation.faults(f"segmenter.normalisation[{channel}]")
        return wrong
