// From a slice to what the network sees, and back: crop, normalise, resample; see cldm_runtime.segmentation.prepare.
#pragma once

#include "cldm/manifest.hpp"

namespace cldm {

struct Box {
    std::int64_t top = 0, left = 0, height = 0, width = 0;
};

struct Prepared {
    Tensor image;  // (C, h, w) as the network sees it
    Box box;       // the crop in the slice, whose shape is that before resampling
};

// One slice (C, H, W), whose axes are in the network's order, of a spacing (rows, columns) in that order.
Prepared prepare(const Tensor& slice, const Spacing& spacing_mm, const SegmenterSpec& spec);

// (..., H, W) planes cut to a box.
Tensor cut(const Tensor& planes, const Box& box);

// (K, h, w) planes at another size by splines of an order 0 to 5, pixel edges aligned, the edge pixels continued
// outside, each plane within the range of its input: scipy.ndimage.zoom(mode="nearest", grid_mode=True), clipped.
Tensor resample(const Tensor& planes, std::int64_t rows, std::int64_t columns, int order);

}  // namespace cldm
