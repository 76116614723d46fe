// Samplers: pure functions from noise to latents, see cldm_runtime.diffusion.samplers, whose formulas and symbols these are.
#pragma once

#include <functional>
#include <string>

#include "cldm/schedule.hpp"
#include "cldm/tensor.hpp"

namespace cldm {

using Predict = std::function<Tensor(const Tensor& x, std::int64_t timestep)>;
using Noise = std::function<Tensor(std::size_t step)>;

// InputError for a sampler that is unknown, or an eta that it does not take.
void check_sampler(const std::string& sampler, double eta);

// Walk from noise `x` along the table. `predict` answers what `prediction_type` says: epsilon, v, sample or flow.
Tensor sample(const std::string& sampler, double eta, const std::string& prediction_type, const Predict& predict,
              Tensor x, const StepTable& table, const Noise& noise);

}  // namespace cldm
