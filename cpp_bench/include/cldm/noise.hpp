// Random numbers that belong to the sample, bit for bit those of cldm_runtime.noise.
//
// Philox4x64-10 (Salmon et al., SC 2011) with key (seed, sample index) and counter (block, 0, step, purpose), the first
// block being number 1. A normal is the sum of five entries of a table of 4096 quantiles, so no libm is involved.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cldm/tensor.hpp"

namespace cldm {

// The numbers are part of the file format.
enum class Purpose : std::uint64_t { initial = 0, step = 1, texture = 2, scan = 8 };

class Stream {
public:
    Stream(std::uint64_t seed, std::uint64_t index, Purpose purpose, std::uint64_t step = 0);

    std::uint64_t word();
    void normals(float* to, std::size_t count);

private:
    std::array<std::uint64_t, 2> key_;
    std::array<std::uint64_t, 4> counter_;
    std::array<std::uint64_t, 4> block_{};
    std::size_t used_ = 4;
};

// (indices, *shape) standard normals, a stream for each sample index.
Tensor normals(std::uint64_t seed, const std::vector<std::uint64_t>& indices, Purpose purpose, const Shape& shape,
               std::uint64_t step = 0);

}  // namespace cldm
