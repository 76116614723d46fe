// Engines run named tensors through a graph. They know nothing of diffusion.
#pragma once

#include <memory>
#include <string>

#include "cldm/manifest.hpp"
#include "cldm/tensor.hpp"

namespace cldm {

class Engine {
public:
    virtual ~Engine() = default;
    // Every input of the graph by name -> its first output. Error where the inputs do not fit.
    virtual Tensor run(const Tensors& inputs) = 0;
};

// provider: "cpu" (onnxruntime), or what else was built in: see providers().
std::unique_ptr<Engine> open_engine(const Bundle& bundle, const std::string& role, const std::string& provider,
                                    int threads);

std::vector<std::string> providers();

// Raises Error for a tensor that is missing, unknown or of another shape than the graph's.
void check_inputs(const GraphSpec& graph, const Tensors& inputs);

}  // namespace cldm
