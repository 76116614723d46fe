#pragma once

#include <memory>
#include <vector>

#include "cldm/engine.hpp"

namespace cldm {

std::unique_ptr<Engine> open_onnx(const GraphSpec& graph, const std::vector<unsigned char>& model, int threads);

}  // namespace cldm
