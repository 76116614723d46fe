#include "cldm/noise.hpp"

#include <cmath>

#include "normal_table.hpp"  // made by CMake from the runtime's normal_table.npy

namespace cldm {
namespace {

constexpr int kRounds = 10;
constexpr int kFieldBits = 12;
constexpr int kFields = 5;
constexpr std::uint64_t kMask = (std::uint64_t{1} << kFieldBits) - 1;

struct Product {
    std::uint64_t high, low;
};

// 64 x 64 -> 128 bits from 32-bit halves: standard C++ has no wider integer.
Product multiply(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t a_low = a & 0xffffffffU, a_high = a >> 32, b_low = b & 0xffffffffU, b_high = b >> 32;
    const std::uint64_t low = a_low * b_low;
    const std::uint64_t first = a_high * b_low + (low >> 32);
    const std::uint64_t second = a_low * b_high + (first & 0xffffffffU);
    return {a_high * b_high + (first >> 32) + (second >> 32), a * b};
}

std::array<std::uint64_t, 4> philox(std::array<std::uint64_t, 4> c, std::array<std::uint64_t, 2> k) {
    for (int round = 0; round < kRounds; ++round) {
        if (round > 0) {
            k[0] += 0x9E3779B97F4A7C15U;
            k[1] += 0xBB67AE8584CAA73BU;
        }
        const Product p = multiply(0xD2E7470EE14C6C93U, c[0]), q = multiply(0xCA5A826395121157U, c[2]);
        c = {q.high ^ c[1] ^ k[0], q.low, p.high ^ c[3] ^ k[1], p.low};
    }
    return c;
}

double scale() {
    static const double value = std::ldexp(1.0, -24) / std::sqrt(static_cast<double>(kFields));
    return value;
}

}  // namespace

Stream::Stream(std::uint64_t seed, std::uint64_t index, Purpose purpose, std::uint64_t step)
    : key_{seed, index}, counter_{0, 0, step, static_cast<std::uint64_t>(purpose)} {}

std::uint64_t Stream::word() {
    if (used_ == block_.size()) {
        for (std::size_t i = 0; i < counter_.size() && ++counter_[i] == 0; ++i) {
        }
        block_ = philox(counter_, key_);
        used_ = 0;
    }
    return block_[used_++];
}

void Stream::normals(float* to, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t bits = word();
        std::int32_t total = 0;
        for (int field = 0; field < kFields; ++field, bits >>= kFieldBits) {
            total += kNormalTable[bits & kMask];
        }
        to[i] = static_cast<float>(static_cast<double>(total) * scale());
    }
}

Tensor normals(std::uint64_t seed, const std::vector<std::uint64_t>& indices, Purpose purpose, const Shape& shape,
               std::uint64_t step) {
    Shape full{static_cast<std::int64_t>(indices.size())};
    full.insert(full.end(), shape.begin(), shape.end());
    Tensor drawn(full);
    const std::size_t each = count(shape);
    for (std::size_t i = 0; i < indices.size(); ++i) {
        Stream(seed, indices[i], purpose, step).normals(drawn.data.data() + i * each, each);
    }
    return drawn;
}

}  // namespace cldm
