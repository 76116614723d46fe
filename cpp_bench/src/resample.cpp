// Splines of equidistant samples: Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal
// Processing Magazine 1999.
//
//   c   coefficients of the spline: samples s = sum of c[k] * B(x - k)
//   z   pole of the recursive filter that gives c, one for each two orders
#include <algorithm>
#include <cmath>

#include "segment_prepare.hpp"

namespace cldm {
namespace {

using Line = std::vector<double>;

constexpr std::size_t kMargin = 12;  // edge samples continued before filtering, as SciPy does

Line poles(int order) {
    switch (order) {
        case 2: return {std::sqrt(8.0) - 3.0};
        case 3: return {std::sqrt(3.0) - 2.0};
        case 4: return {std::sqrt(664.0 - std::sqrt(438976.0)) + std::sqrt(304.0) - 19.0,
                        std::sqrt(664.0 + std::sqrt(438976.0)) - std::sqrt(304.0) - 19.0};
        case 5: return {std::sqrt(67.5 - std::sqrt(4436.25)) + std::sqrt(26.25) - 6.5,
                        std::sqrt(67.5 + std::sqrt(4436.25)) - std::sqrt(26.25) - 6.5};
        default: return {};
    }
}

// Samples to coefficients in place, the line reflected at its ends.
void filter(Line& c, const Line& zs) {
    const std::size_t n = c.size();
    for (const double z : zs) {
        const double gain = (1.0 - z) * (1.0 - 1.0 / z);
        double before = 0.0, power = 1.0;  // the causal filter's value left of the line, which its mirror image gives
        for (std::size_t k = 0; k < 2 * n && std::abs(power) > 1e-20; ++k, power *= z) {
            before += power * c[k < n ? k : 2 * n - 1 - k];
        }
        for (std::size_t k = 0; k < n; ++k) {
            before = c[k] = c[k] + z * before;
        }
        double after = c[n - 1] / (z - 1.0) * z;
        c[n - 1] = after;
        for (std::size_t k = n - 1; k-- > 0;) {
            after = c[k] = z * (after - c[k]);
        }
        std::transform(c.begin(), c.end(), c.begin(), [gain](double value) { return value * gain; });
    }
}

// Where each new sample lies among the old, and the weights of the order + 1 coefficients around it.
struct Taps {
    std::vector<std::ptrdiff_t> first;
    Line weights;
};

// The B-spline pieces at a share u of their interval, by the recursion of Cox and de Boor.
Line pieces(double u, int order) {
    Line w{1.0};
    for (int d = 1; d <= order; ++d) {
        Line next(w.size() + 1, 0.0);
        for (int k = 0; k < d; ++k) {
            next[static_cast<std::size_t>(k)] += (k + 1 - u) / d * w[static_cast<std::size_t>(k)];
            next[static_cast<std::size_t>(k + 1)] += (u + d - 1 - k) / d * w[static_cast<std::size_t>(k)];
        }
        w = next;
    }
    return w;
}

Taps taps(std::size_t from, std::size_t to, int order) {
    Taps found;
    const double half = order % 2 ? 0.0 : 0.5;  // an even spline's pieces begin halfway between samples
    for (std::size_t i = 0; i < to; ++i) {
        double x = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
        if (order < 2) {
            x = std::clamp(x, 0.0, static_cast<double>(from - 1));
        } else {
            x += static_cast<double>(kMargin);
        }
        const double whole = std::floor(x + half);
        found.first.push_back(static_cast<std::ptrdiff_t>(whole) - order / 2);
        const Line weights = pieces(x + half - whole, order);
        found.weights.insert(found.weights.end(), weights.begin(), weights.end());
    }
    return found;
}

Line resampled(const Line& samples, const Taps& taps, int order, const Line& zs) {
    Line c = samples;
    if (order > 1) {
        c.insert(c.begin(), kMargin, samples.front());
        c.insert(c.end(), kMargin, samples.back());
        filter(c, zs);
    }
    Line out(taps.first.size(), 0.0);
    const std::size_t each = static_cast<std::size_t>(order) + 1;
    const std::ptrdiff_t last = static_cast<std::ptrdiff_t>(c.size()) - 1;
    for (std::size_t i = 0; i < out.size(); ++i) {
        for (std::size_t k = 0; k < each; ++k) {
            const std::ptrdiff_t at = std::clamp<std::ptrdiff_t>(taps.first[i] + static_cast<std::ptrdiff_t>(k), 0, last);
            out[i] += taps.weights[i * each + k] * c[static_cast<std::size_t>(at)];
        }
    }
    return out;
}

}  // namespace

Tensor resample(const Tensor& planes, std::int64_t rows, std::int64_t columns, int order) {
    const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
    const std::size_t h = size(planes.shape[1]), w = size(planes.shape[2]), new_h = size(rows), new_w = size(columns);
    if (new_h == h && new_w == w) {
        return planes;
    }
    const Taps down = taps(h, new_h, order), across = taps(w, new_w, order);
    const Line zs = poles(order);
    Tensor out({planes.shape[0], rows, columns});
    Line columns_done(new_h * w);
    for (std::size_t k = 0; k < size(planes.shape[0]); ++k) {
        const float* plane = planes.data.data() + k * h * w;
        for (std::size_t column = 0; column < w; ++column) {
            Line line(h);
            for (std::size_t row = 0; row < h; ++row) {
                line[row] = static_cast<double>(plane[row * w + column]);
            }
            const Line done = resampled(line, down, order, zs);
            for (std::size_t row = 0; row < new_h; ++row) {
                columns_done[row * w + column] = done[row];
            }
        }
        const auto [low, high] = std::minmax_element(plane, plane + h * w);
        for (std::size_t row = 0; row < new_h; ++row) {
            const auto from = columns_done.begin() + static_cast<std::ptrdiff_t>(row * w);
            const Line done = resampled(Line(from, from + static_cast<std::ptrdiff_t>(w)), across, order, zs);
            std::transform(done.begin(), done.end(), out.data.begin() + static_cast<std::ptrdiff_t>((k * new_h + row) * new_w),
                           [low = *low, high = *high](double value) { return std::clamp(static_cast<float>(value), low, high); });
        }
    }
    return out;
}

}  // namespace cldm
