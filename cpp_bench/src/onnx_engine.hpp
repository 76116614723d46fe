#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cldm/engine.hpp"

namespace cldm {

// ProviderError for an int8 graph on an x86 CPU without VNNI, or where CUDA does not start.
std::unique_ptr<Engine> open_onnx(const GraphSpec& graph, const std::vector<unsigned char>& model, int threads, bool cuda);

// ProviderError where this onnxruntime was made without CUDA.
void require_cuda();

std::string onnxruntime_version();

}  // namespace cldm
