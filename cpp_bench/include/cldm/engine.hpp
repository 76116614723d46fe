// Engines run named tensors through a graph. They know nothing of diffusion.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cldm/manifest.hpp"
#include "cldm/tensor.hpp"

namespace cldm {

class Engine {
public:
    virtual ~Engine() = default;
    // Every input of the graph by name -> its first output. BundleError where the inputs do not fit or the graph fails.
    virtual Tensor run(const Views& inputs) = 0;
};

// provider: one of kProviders. A provider that was asked for and cannot be had is a ProviderError, never replaced.
std::unique_ptr<Engine> open_engine(const Bundle& bundle, const std::string& role, const std::string& provider,
                                    int threads);

// "cpu" and "cuda" are onnxruntime; "torchscript", "torchscript-cuda" and "tensorrt" are options of the build.
inline const std::vector<std::string> kProviders{"cpu", "cuda", "torchscript", "torchscript-cuda", "tensorrt"};

// InputError for a provider that is unknown, ProviderError for one that this build or this machine does not have.
void check_provider(const std::string& provider);

// Cores that this process may use.
int all_cores();

// Of the libraries that run the networks, by name.
std::map<std::string, std::string> engine_versions();

// Raises BundleError for a tensor that is missing, unknown or of another shape than the graph's.
void check_inputs(const GraphSpec& graph, const Views& inputs);

}  // namespace cldm
