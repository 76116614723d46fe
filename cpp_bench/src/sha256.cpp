// SHA-256 (FIPS 180-4).
#include <array>
#include <cmath>
#include <cstdint>

#include "cldm/manifest.hpp"

namespace cldm {
namespace {

std::uint32_t turned(std::uint32_t x, int by) { return (x >> by) | (x << (32 - by)); }

// The first 32 bits of the fractions of the square (cube) roots of the first primes, which is how the standard has them.
template <std::size_t N>
std::array<std::uint32_t, N> fractions(bool cube) {
    std::array<std::uint32_t, N> found{};
    std::size_t have = 0;
    for (unsigned number = 2; have < N; ++number) {
        bool prime = true;
        for (unsigned by = 2; by * by <= number; ++by) {
            prime = prime && number % by != 0;
        }
        if (prime) {
            const long double root = cube ? std::cbrt(static_cast<long double>(number)) : std::sqrt(static_cast<long double>(number));
            found[have++] = static_cast<std::uint32_t>((root - std::floor(root)) * 4294967296.0L);
        }
    }
    return found;
}

void mix(std::array<std::uint32_t, 8>& state, const unsigned char* block) {
    static const auto k = fractions<64>(true);
    std::array<std::uint32_t, 64> w{};
    for (std::size_t i = 0; i < 16; ++i) {
        w[i] = (std::uint32_t{block[4 * i]} << 24) | (std::uint32_t{block[4 * i + 1]} << 16) |
               (std::uint32_t{block[4 * i + 2]} << 8) | block[4 * i + 3];
    }
    for (std::size_t i = 16; i < 64; ++i) {
        const std::uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (turned(a, 7) ^ turned(a, 18) ^ (a >> 3)) + w[i - 7] + (turned(b, 17) ^ turned(b, 19) ^ (b >> 10));
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::uint32_t first = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
        const std::uint32_t second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
    }
    const std::array<std::uint32_t, 8> added{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) {
        state[i] += added[i];
    }
}

}  // namespace

std::string sha256_of(const std::vector<unsigned char>& bytes) {
    std::array<std::uint32_t, 8> state = fractions<8>(false);
    std::vector<unsigned char> rest(bytes.end() - static_cast<std::ptrdiff_t>(bytes.size() % 64), bytes.end());
    for (std::size_t at = 0; at + 64 <= bytes.size(); at += 64) {
        mix(state, bytes.data() + at);
    }
    rest.push_back(0x80);
    while (rest.size() % 64 != 56) {
        rest.push_back(0);
    }
    const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
    for (int shift = 56; shift >= 0; shift -= 8) {
        rest.push_back(static_cast<unsigned char>(bits >> shift));
    }
    for (std::size_t at = 0; at < rest.size(); at += 64) {
        mix(state, rest.data() + at);
    }
    std::string text;
    for (const std::uint32_t word : state) {
        for (int shift = 28; shift >= 0; shift -= 4) {
            text += "0123456789abcdef"[(word >> shift) & 15U];
        }
    }
    return text;
}

}  // namespace cldm
