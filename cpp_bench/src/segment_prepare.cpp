#include "segment_prepare.hpp"

#include <algorithm>
#include <cmath>

#include "cldm/error.hpp"

namespace cldm {
namespace {

constexpr float kEpsilon = 1e-8F;

using Mask = std::vector<char>;

// The pixels that are not zero in every channel of a slice.
Mask nonzero(const Tensor& slice) {
    const std::size_t pixels = slice.stride();
    Mask found(pixels, 0);
    for (std::size_t i = 0; i < slice.data.size(); ++i) {
        found[i % pixels] |= static_cast<char>(slice.data[i] != 0.0F);
    }
    return found;
}

// The smallest box around the mask; the whole plane where the mask is empty.
Box bounding_box(const Mask& mask, std::int64_t height, std::int64_t width) {
    std::int64_t top = height, left = width, bottom = -1, right = -1;
    for (std::int64_t row = 0; row < height; ++row) {
        for (std::int64_t column = 0; column < width; ++column) {
            if (mask[static_cast<std::size_t>(row * width + column)]) {
                top = std::min(top, row), bottom = std::max(bottom, row);
                left = std::min(left, column), right = std::max(right, column);
            }
        }
    }
    return bottom < 0 ? Box{0, 0, height, width} : Box{top, left, bottom - top + 1, right - left + 1};
}

// inside: where the slice is not zero.
void z_score(float* channel, std::size_t pixels, const Mask& inside, bool use_mask) {
    double sum = 0.0, squares = 0.0;
    std::size_t taken = 0;
    const auto counts = [&](std::size_t i) { return !use_mask || inside[i]; };
    for (std::size_t i = 0; i < pixels; ++i) {
        if (counts(i)) {
            sum += static_cast<double>(channel[i]);
            ++taken;
        }
    }
    if (taken == 0) {
        return;
    }
    const double mean = sum / static_cast<double>(taken);
    for (std::size_t i = 0; i < pixels; ++i) {
        if (counts(i)) {
            squares += (static_cast<double>(channel[i]) - mean) * (static_cast<double>(channel[i]) - mean);
        }
    }
    const float middle = static_cast<float>(mean);
    const float spread = std::max(static_cast<float>(std::sqrt(squares / static_cast<double>(taken))), kEpsilon);
    for (std::size_t i = 0; i < pixels; ++i) {
        if (counts(i)) {
            channel[i] = (channel[i] - middle) / spread;
        }
    }
}

// One channel by nnU-Net's scheme of that name.
void normalise(float* channel, std::size_t pixels, const Mask& inside, const Normalisation& rule) {
    float* const end = channel + pixels;
    const auto [low, high] = std::minmax_element(channel, end);
    const float least = *low, most = *high;
    if (rule.scheme == "ZScoreNormalization") {
        z_score(channel, pixels, inside, rule.use_mask);
    } else if (rule.scheme == "CTNormalization") {
        const float spread = std::max(rule.std, kEpsilon);
        std::transform(channel, end, channel, [&](float value) {
            return (std::clamp(value, rule.percentile_00_5, rule.percentile_99_5) - rule.mean) / spread;
        });
    } else if (rule.scheme == "RescaleTo01Normalization") {
        const float range = std::max(most - least, kEpsilon);
        std::transform(channel, end, channel, [&](float value) { return (value - least) / range; });
    } else if (rule.scheme == "RGBTo01Normalization") {
        if (least < 0.0F || most > 255.0F) {
            throw InputError("segment: intensities reach from " + std::to_string(least) + " to " + std::to_string(most) +
                             ", but this segmenter was trained on 8-bit images. Give values in 0..255.");
        }
        std::transform(channel, end, channel, [](float value) { return value / 255.0F; });
    }
}

// Halves go to the even number, by the default rounding mode.
std::int64_t resampled_size(std::int64_t size, double old_mm, double new_mm) {
    return std::max<std::int64_t>(1, std::llrint(old_mm / new_mm * static_cast<double>(size)));
}

}  // namespace

Tensor cut(const Tensor& planes, const Box& box) {
    const std::size_t axes = planes.shape.size();
    const std::int64_t height = planes.shape[axes - 2], width = planes.shape[axes - 1];
    Shape shape = planes.shape;
    shape[axes - 2] = box.height, shape[axes - 1] = box.width;
    Tensor out(shape);
    auto to = out.data.begin();
    for (auto plane = planes.data.begin(); plane != planes.data.end(); plane += height * width) {
        for (std::int64_t row = box.top; row < box.top + box.height; ++row) {
            to = std::copy_n(plane + row * width + box.left, box.width, to);
        }
    }
    return out;
}

Prepared prepare(const Tensor& slice, const Spacing& spacing_mm, const SegmenterSpec& spec) {
    const std::int64_t height = slice.shape[1], width = slice.shape[2];
    const Box box = spec.crop_to_nonzero ? bounding_box(nonzero(slice), height, width) : Box{0, 0, height, width};
    Tensor cropped = cut(slice, box);
    const Mask inside = nonzero(cropped);
    for (std::size_t channel = 0; channel < spec.normalisation.size(); ++channel) {
        normalise(cropped.data.data() + channel * cropped.stride(), cropped.stride(), inside, spec.normalisation[channel]);
    }
    return {resample(cropped, resampled_size(box.height, spacing_mm[0], spec.spacing_mm[0]),
                     resampled_size(box.width, spacing_mm[1], spec.spacing_mm[1]), spec.image_order), box};
}

}  // namespace cldm
