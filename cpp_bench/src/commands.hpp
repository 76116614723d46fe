// What cldm-cpp can do; each gives the exit status.
#pragma once

#include "arguments.hpp"
#include "cldm/manifest.hpp"

namespace cldm {

int verify(const Arguments& arguments);
int generate(const Arguments& arguments);
int segment(const Arguments& arguments);
int noise(const Arguments& arguments);
int bench(const Arguments& arguments);
int child(const Arguments& arguments);

// The bundle's sampling with what the options change.
Sampling asked_sampling(const Arguments& arguments, const Manifest& manifest);

}  // namespace cldm
