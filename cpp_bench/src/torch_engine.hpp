#pragma once

#include <memory>
#include <vector>

#include "cldm/engine.hpp"

namespace cldm {

std::unique_ptr<Engine> open_torchscript(const GraphSpec& graph, const std::vector<unsigned char>& archive, int threads);

}  // namespace cldm
