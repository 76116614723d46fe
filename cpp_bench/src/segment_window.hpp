// Sliding-window prediction: where the tiles lie, how they are weighted, and the mean over mirrored copies; see
// cldm_runtime.segmentation.window.
#pragma once

#include "cldm/engine.hpp"

namespace cldm {

// Logits (N, K, h, w) of prepared slices (N, C, h, w), all of one shape.
Tensor predict_logits(Engine& engine, const Tensor& batch, const SegmenterSpec& spec, bool mirror);

}  // namespace cldm
