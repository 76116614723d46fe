// Engines compiled on this machine: they are run as code, so they lie in a folder of this user alone, and a file whose
// digest is not right is as good as none.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cldm {

// $CLDM_CACHE, else $XDG_CACHE_HOME/cldm, else ~/.cache/cldm, and in it tensorrt-cpp, made with mode 0700 where it is
// missing. ProviderError where it cannot be made or others may write to it.
std::filesystem::path engine_folder();

// What write_engine kept under that name.
std::optional<std::vector<unsigned char>> read_engine(const std::string& name);

// ProviderError where it cannot be written.
void write_engine(const std::string& name, const std::vector<unsigned char>& data);

}  // namespace cldm
