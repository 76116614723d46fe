#pragma once

#include <memory>
#include <string>

#include "cldm/engine.hpp"

namespace cldm {

// The graph of that role, whose bytes are `model`; an engine is had when the first batch of a size comes: from the cache, else built, which takes
// minutes. Each computes the graph's reference first, and one that is off by more than the tolerance is not used.
std::unique_ptr<Engine> open_tensorrt(const Bundle& bundle, const std::string& role, std::vector<unsigned char> model);

std::string tensorrt_version();

}  // namespace cldm
