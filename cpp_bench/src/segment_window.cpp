#include "segment_window.hpp"

#include <algorithm>
#include <cmath>

#include "segment_prepare.hpp"

namespace cldm {
namespace {

// First pixels of the tiles along one axis: evenly spread, at most `step * tile` apart, the last one flush.
std::vector<std::int64_t> tile_starts(std::int64_t size, std::int64_t tile, double step) {
    const double last = static_cast<double>(size - tile);
    const std::int64_t count = std::llround(std::ceil(last / (static_cast<double>(tile) * step))) + 1;
    std::vector<std::int64_t> starts;
    for (std::int64_t i = 0; i < count; ++i) {
        starts.push_back(count == 1 ? 0 : std::llrint(last / static_cast<double>(count - 1) * static_cast<double>(i)));
    }
    return starts;
}

// A Gaussian around the middle pixel of a side, cut at four standard deviations as SciPy does.
std::vector<double> gaussian(std::int64_t side, double sigma_scale) {
    const double sigma = static_cast<double>(side) * sigma_scale;
    const std::int64_t radius = static_cast<std::int64_t>(4.0 * sigma + 0.5);
    std::vector<double> values;
    for (std::int64_t i = 0; i < side; ++i) {
        const double from_middle = static_cast<double>(i - side / 2);
        values.push_back(std::abs(i - side / 2) > radius ? 0.0 : std::exp(-0.5 * from_middle * from_middle / (sigma * sigma)));
    }
    return values;
}

// Weight of each pixel of a tile: largest 1, never 0.
std::vector<float> tile_weights(const SegmenterSpec& spec) {
    const auto [rows, columns] = spec.patch_size;
    if (!spec.use_gaussian) {
        return std::vector<float>(static_cast<std::size_t>(rows * columns), 1.0F);
    }
    const std::vector<double> down = gaussian(rows, spec.gaussian_sigma_scale);
    const std::vector<double> across = gaussian(columns, spec.gaussian_sigma_scale);
    double least = 1.0;
    std::vector<double> weights;
    for (const double row : down) {
        for (const double column : across) {
            weights.push_back(row * column);
            least = weights.back() > 0.0 ? std::min(least, weights.back()) : least;
        }
    }
    std::vector<float> found;
    for (const double weight : weights) {
        found.push_back(static_cast<float>(std::max(weight, least)));
    }
    return found;
}

Tensor flipped(const Tensor& planes, bool rows, bool columns) {
    const std::size_t axes = planes.shape.size();
    const std::int64_t height = planes.shape[axes - 2], width = planes.shape[axes - 1];
    Tensor out(planes.shape);
    auto to = out.data.begin();
    for (auto plane = planes.data.begin(); plane != planes.data.end(); plane += height * width) {
        for (std::int64_t row = 0; row < height; ++row) {
            const auto line = plane + (rows ? height - 1 - row : row) * width;
            to = columns ? std::reverse_copy(line, line + width, to) : std::copy_n(line, width, to);
        }
    }
    return out;
}

// Mean of the network's answers to (N, C, h, w) under every combination of flips of the axes.
Tensor mirrored_mean(Engine& engine, const Tensor& batch, const std::vector<int>& axes) {
    Tensor total = engine.run({{"image", &batch}});
    const std::size_t copies = std::size_t{1} << axes.size();
    for (std::size_t chosen = 1; chosen < copies; ++chosen) {
        bool rows = false, columns = false;
        for (std::size_t i = 0; i < axes.size(); ++i) {
            ((axes[i] == 0) ? rows : columns) |= (chosen >> i & 1U) != 0;
        }
        const Tensor turned = flipped(batch, rows, columns);
        const Tensor back = flipped(engine.run({{"image", &turned}}), rows, columns);
        std::transform(total.data.begin(), total.data.end(), back.data.begin(), total.data.begin(), std::plus<>());
    }
    for (float& value : total.data) {
        value /= static_cast<float>(copies);
    }
    return total;
}

// Zeros around planes, so that they are as large as the box, in which they lie as its top and left say.
Tensor padded(const Tensor& planes, const Box& box) {
    const std::size_t axes = planes.shape.size();
    const std::int64_t height = planes.shape[axes - 2], width = planes.shape[axes - 1];
    Shape shape = planes.shape;
    shape[axes - 2] = box.height, shape[axes - 1] = box.width;
    Tensor out(shape);
    auto to = out.data.begin() + box.top * box.width + box.left;
    for (auto plane = planes.data.begin(); plane != planes.data.end(); plane += height * width) {
        for (std::int64_t row = 0; row < height; ++row) {
            std::copy_n(plane + row * width, width, to + row * box.width);
        }
        if (plane + height * width != planes.data.end()) {
            to += box.height * box.width;
        }
    }
    return out;
}

// Add weights * part to the box in every plane of total.
void add(Tensor& total, const Tensor& part, const std::vector<float>& weights, const Box& box) {
    const std::size_t axes = total.shape.size();
    const std::int64_t height = total.shape[axes - 2], width = total.shape[axes - 1];
    const float* from = part.data.data();
    for (std::size_t plane = 0; plane < total.data.size(); plane += static_cast<std::size_t>(height * width)) {
        for (std::int64_t row = 0; row < box.height; ++row) {
            float* to = total.data.data() + plane + (box.top + row) * width + box.left;
            const float* weight = weights.data() + row * box.width;
            for (std::int64_t column = 0; column < box.width; ++column) {
                *to++ += *from++ * *weight++;
            }
        }
    }
}

}  // namespace

Tensor predict_logits(Engine& engine, const Tensor& batch, const SegmenterSpec& spec, bool mirror) {
    const auto [patch_rows, patch_columns] = spec.patch_size;
    const std::int64_t rows = std::max(batch.shape[2], patch_rows), columns = std::max(batch.shape[3], patch_columns);
    const Box around{(rows - batch.shape[2]) / 2, (columns - batch.shape[3]) / 2, rows, columns};
    const Box content{around.top, around.left, batch.shape[2], batch.shape[3]};
    const std::vector<int> axes = mirror ? spec.mirror_axes : std::vector<int>{};
    const Tensor whole = padded(batch, around);
    if (rows == patch_rows && columns == patch_columns) {
        return cut(mirrored_mean(engine, whole, axes), content);
    }
    const std::vector<float> weights = tile_weights(spec);
    Tensor total({batch.shape[0], static_cast<std::int64_t>(spec.label_values.size()), rows, columns});
    Tensor weight({1, rows, columns});
    const Tensor ones({1, patch_rows, patch_columns}, std::vector<float>(weights.size(), 1.0F));
    for (const std::int64_t top : tile_starts(rows, patch_rows, spec.tile_step_size)) {
        for (const std::int64_t left : tile_starts(columns, patch_columns, spec.tile_step_size)) {
            const Box tile{top, left, patch_rows, patch_columns};
            add(total, mirrored_mean(engine, cut(whole, tile), axes), weights, tile);
            add(weight, ones, weights, tile);
        }
    }
    for (std::size_t i = 0; i < total.data.size(); ++i) {
        total.data[i] /= weight.data[i % weight.data.size()];
    }
    return cut(total, content);
}

}  // namespace cldm
