// What is timed: the networks of a generator bundle, from conditions in memory to images in memory. It is the C++ of
// cldm_runtime.bench.work.BundleNetworks, step by step, so that both do the same work.
#pragma once

#include <nlohmann/json.hpp>

#include "cldm/pipeline.hpp"

namespace cldm {

// Steps of the sampling loop that an estimate runs, and from how many steps on a loop is estimated, as in Python.
constexpr int kEstimateSteps = 4, kLongLoop = 200;

class NetworksWork {
public:
    NetworksWork(const std::string& bundle, const std::string& provider, int threads, std::uint64_t seed,
                 const Sampling& how);

    nlohmann::json facts() const;       // what its row says beside times
    void prepare(std::size_t batch);    // the inputs of a batch; not timed
    std::size_t complete();             // one batch, whole; the number of its images
    nlohmann::json estimate();          // seconds of one batch by part, and "images", their number

private:
    Pipeline pipeline_;
    Sampling how_;
    std::uint64_t seed_;
    std::vector<std::uint64_t> indices_;
    Tensors sources_;
};

}  // namespace cldm
