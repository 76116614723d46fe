// The few steps that sampling visits, see cldm_runtime.diffusion.schedule.
#pragma once

#include <string>
#include <vector>

#include "cldm/manifest.hpp"

namespace cldm {

// Step k goes from (alpha[k], sigma[k]), at training step timesteps[k], to (alpha[k + 1], sigma[k + 1]); the last entry
// is 1, 0 exactly.
struct StepTable {
    std::vector<std::int64_t> timesteps;
    std::vector<double> alpha, sigma;

    std::size_t size() const { return timesteps.size(); }
};

StepTable step_table(const Schedule& schedule, int steps, const std::string& spacing);

}  // namespace cldm
