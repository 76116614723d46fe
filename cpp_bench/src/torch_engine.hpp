#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cldm/engine.hpp"

namespace cldm {

std::unique_ptr<Engine> open_torchscript(const GraphSpec& graph, const std::vector<unsigned char>& archive, int threads,
                                         bool cuda);

// ProviderError where CUDA is asked for and torch has none.
void require_torch_device(bool cuda);

std::string torch_version();

}  // namespace cldm
