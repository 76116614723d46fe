// reference.npz of a bundle: inputs and the outputs that they must give, see cldm_runtime.bundle.reference.
#pragma once

#include <map>
#include <string>

#include "cldm/manifest.hpp"

namespace cldm {

struct Case {
    Tensors inputs, outputs;
};

struct Reference {
    std::map<std::string, Case> graphs;  // by role
    Case loop;                           // of a generator
    int loop_steps = 0;
};

// BundleError where the file is damaged, or holds nothing for a graph or for a generator's loop.
Reference read_reference(const Bundle& bundle);

// Largest absolute difference; infinite where shapes differ, not a number where a value is none.
double largest_error(const Tensor& found, const Tensor& expected);

}  // namespace cldm
