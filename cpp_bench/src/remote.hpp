// A contender in a process of its own: this program again, as `child`. See cldm_runtime.bench.remote.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace cldm {

class Remote {
public:
    Remote();
    ~Remote();
    Remote(const Remote&) = delete;
    Remote& operator=(const Remote&) = delete;

    // The answer to a request. std::runtime_error with the contender's message where it failed.
    nlohmann::json ask(const nlohmann::json& request);
    double seconds_since_begun() const;

private:
    std::chrono::steady_clock::time_point begun_;
    pid_t process_ = -1;
    std::FILE* to_ = nullptr;
    std::FILE* from_ = nullptr;
};

}  // namespace cldm
