// What figures were measured on, with the keys of cldm_runtime.bench.machine.
#pragma once

#include <nlohmann/json.hpp>

namespace cldm {

nlohmann::json machine();
std::string now_utc();  // ISO 8601, to the second

}  // namespace cldm
