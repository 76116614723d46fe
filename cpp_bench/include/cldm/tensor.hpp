// Named float32 arrays in C order: what goes into graphs and comes out of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace cldm {

using Shape = std::vector<std::int64_t>;

inline std::size_t count(const Shape& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::size_t{1},
                           [](std::size_t all, std::int64_t size) { return all * static_cast<std::size_t>(size); });
}

struct Tensor {
    Shape shape;
    std::vector<float> data;

    Tensor() = default;
    explicit Tensor(Shape of) : shape(std::move(of)), data(count(shape)) {}
    Tensor(Shape of, std::vector<float> values) : shape(std::move(of)), data(std::move(values)) {}

    std::int64_t batch() const { return shape.empty() ? 0 : shape.front(); }
    // Numbers of one sample, which is everything behind the first axis.
    std::size_t stride() const { return shape.empty() || shape.front() == 0 ? 0 : data.size() / static_cast<std::size_t>(shape.front()); }
};

using Tensors = std::map<std::string, Tensor>;
// The same without owning them.
using Views = std::map<std::string, const Tensor*>;

inline Views views(const Tensors& tensors) {
    Views seen;
    for (const auto& [name, tensor] : tensors) {
        seen[name] = &tensor;
    }
    return seen;
}

// Label maps (N, *spatial), numbers 0..255.
struct Labels {
    Shape shape;
    std::vector<std::uint8_t> values;
};

// Samples first to last - 1 of a tensor.
Tensor slice(const Tensor& tensor, std::int64_t first, std::int64_t last);

}  // namespace cldm
