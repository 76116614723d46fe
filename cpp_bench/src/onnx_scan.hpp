// Looks through the bytes of an ONNX model, before any session sees them, for what a bundle must not hold
// (docs/bundle-format.md, 3.3): operators that are not on the list, control flow, random numbers, data in other files.
#pragma once

#include <string>
#include <vector>

namespace cldm {

// What a bundle must not hold, in the words of cldm_runtime.bundle.onnx_scan, without repetition; empty for a sound model.
std::vector<std::string> scan_model(const std::vector<unsigned char>& model);

}  // namespace cldm
