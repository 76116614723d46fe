#include "cldm/segment.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "cldm/error.hpp"
#include "segment_prepare.hpp"
#include "segment_window.hpp"

namespace cldm {
namespace {

// Slices that the CPU computes at once, on one thread for each: what they need then stays in the cache.
constexpr std::size_t kCpuSlices = 2;

// (..., H, W) -> (..., W, H)
template <class T>
std::vector<T> transposed(const std::vector<T>& planes, std::int64_t rows, std::int64_t columns) {
    std::vector<T> out(planes.size());
    const std::size_t h = static_cast<std::size_t>(rows), w = static_cast<std::size_t>(columns);
    for (std::size_t i = 0; i < planes.size(); ++i) {
        const std::size_t plane = i / (h * w), row = i % (h * w) / w, column = i % w;
        out[plane * h * w + column * h + row] = planes[i];
    }
    return out;
}

// (N, C, H, W) with the in-plane axes in the network's order.
Tensor checked(const Tensor& images, const SegmenterSpec& spec) {
    Tensor slices = images;
    const std::int64_t channels = static_cast<std::int64_t>(spec.normalisation.size());
    if (slices.shape.size() == 3) {
        slices.shape.insert(slices.shape.begin() + 1, 1);
    }
    if (slices.shape.size() != 4 || slices.shape[1] != channels || std::min(slices.shape[2], slices.shape[3]) < 1) {
        throw InputError("segment: expected images (N, H, W) or (N, " + std::to_string(channels) + ", H, W).");
    }
    if (!std::all_of(slices.data.begin(), slices.data.end(), [](float value) { return std::isfinite(value); })) {
        throw InputError("segment: the images hold NaN or infinite values. Replace them first.");
    }
    if (spec.axis_order[0] == 1) {
        slices.data = transposed(slices.data, slices.shape[2], slices.shape[3]);
        std::swap(slices.shape[2], slices.shape[3]);
    }
    return slices;
}

// (K, h, w) logits into the box of a label map whose rows are `width` long; the first channel wins a tie.
void decide(const Tensor& logits, const SegmenterSpec& spec, const Box& box, std::int64_t width, std::uint8_t* labels) {
    const std::size_t pixels = logits.stride(), channels = spec.label_values.size();
    for (std::size_t i = 0; i < pixels; ++i) {
        std::uint8_t label = 0;
        if (spec.decision == "argmax") {
            std::size_t best = 0;
            for (std::size_t k = 1; k < channels; ++k) {
                best = logits.data[k * pixels + i] > logits.data[best * pixels + i] ? k : best;
            }
            label = spec.label_values[best];
        } else {
            for (std::size_t k = 0; k < channels; ++k) {
                label = logits.data[k * pixels + i] > 0.0F ? spec.label_values[k] : label;
            }
        }
        const std::int64_t row = static_cast<std::int64_t>(i) / box.width, column = static_cast<std::int64_t>(i) % box.width;
        labels[(box.top + row) * width + box.left + column] = label;
    }
}

// Slices that share a shape, side by side; filled up with the last of them to `least`.
Tensor stacked(const std::vector<Prepared>& prepared, const std::vector<std::size_t>& rows, std::size_t least) {
    Tensor stack;
    for (std::size_t i = 0; i < std::max(rows.size(), least); ++i) {
        const std::vector<float>& one = prepared[rows[std::min(i, rows.size() - 1)]].image.data;
        stack.data.insert(stack.data.end(), one.begin(), one.end());
    }
    stack.shape = prepared[rows[0]].image.shape;
    stack.shape.insert(stack.shape.begin(), static_cast<std::int64_t>(std::max(rows.size(), least)));
    return stack;
}

void check_graph(const Bundle& bundle) {
    const GraphSpec& graph = bundle.manifest().graph("segmenter");
    const SegmenterSpec& spec = *bundle.manifest().segmenter;
    const Shape image{static_cast<std::int64_t>(spec.normalisation.size()), spec.patch_size[0], spec.patch_size[1]};
    const Shape logits{static_cast<std::int64_t>(spec.label_values.size()), spec.patch_size[0], spec.patch_size[1]};
    if (graph.input("image").sample != image || graph.outputs.at(0).sample != logits) {
        throw BundleError("bundle " + bundle.folder().string() + ": the shapes of the segmenter graph are not those of "
                          "the segmenter section. Export it again.");
    }
}

// Do work(0) to work(count - 1) on some threads. What one of them throws is thrown here, once all have ended.
template <class Work>
void on_threads(int threads, std::size_t count, const Work& work) {
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    std::mutex guard;
    const auto loop = [&] {
        for (std::size_t i = next++; i < count; i = next++) {
            try {
                work(i);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(guard);
                failure = std::current_exception();
                next = count;
            }
        }
    };
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < std::min(static_cast<std::size_t>(threads), count); ++i) {
        others.emplace_back(loop);
    }
    loop();
    for (std::thread& other : others) {
        other.join();
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

}  // namespace

Segmenter::Segmenter(Bundle bundle, const std::string& provider, int threads)
    : bundle_(std::move(bundle)), on_cores_(provider == "cpu"), fixed_batch_(provider == "tensorrt"),
      workers_(on_cores_ ? threads : 1) {
    const Manifest& manifest = bundle_.manifest();
    if (manifest.kind != "segmenter" || !manifest.segmenter) {
        throw BundleError("bundle " + bundle_.folder().string() + " is a " + manifest.kind + ", expected a segmenter. Pass "
                          "the folder of a segmenter bundle.");
    }
    check_graph(bundle_);
    engine_ = open_engine(bundle_, "segmenter", provider, on_cores_ ? 1 : threads);
}

Labels Segmenter::segment(const Tensor& images, std::optional<Spacing> spacing_mm, std::optional<bool> mirror,
                          int batch_size) {
    Spacing spacing = spacing_mm.value_or(this->spacing_mm());
    if (!(std::isfinite(spacing[0]) && std::isfinite(spacing[1]) && std::min(spacing[0], spacing[1]) > 0.0)) {
        throw InputError("segment: the spacing in mm must be two positive numbers (rows, columns).");
    }
    const Tensor slices = checked(images, spec());
    const bool turned = spec().axis_order[0] == 1;
    if (turned) {
        std::swap(spacing[0], spacing[1]);
    }
    const std::size_t all = static_cast<std::size_t>(slices.shape[0]), asked = static_cast<std::size_t>(std::max(batch_size, 1));
    const std::size_t size = on_cores_ ? std::min(asked, kCpuSlices) : asked;
    Labels labels{{slices.shape[0], slices.shape[2], slices.shape[3]}, {}};
    labels.values.resize(count(labels.shape));
    on_threads(workers_, (all + size - 1) / size, [&](std::size_t i) {
        work(slices, spacing, mirror.value_or(spec().mirror_by_default), i * size, size, labels);
    });
    if (turned) {
        labels.values = transposed(labels.values, labels.shape[1], labels.shape[2]);
        std::swap(labels.shape[1], labels.shape[2]);
    }
    return labels;
}

void Segmenter::work(const Tensor& slices, const Spacing& spacing_mm, bool mirror, std::size_t first, std::size_t size,
                     Labels& labels) {
    const std::size_t last = std::min(first + size, static_cast<std::size_t>(slices.shape[0]));
    std::vector<Prepared> prepared;
    std::map<Shape, std::vector<std::size_t>> groups;  // of slices that share a shape
    for (std::size_t row = first; row < last; ++row) {
        Tensor one = slice(slices, static_cast<std::int64_t>(row), static_cast<std::int64_t>(row + 1));
        one.shape.erase(one.shape.begin());
        prepared.push_back(prepare(one, spacing_mm, spec()));
        groups[prepared.back().image.shape].push_back(row - first);
    }
    const std::size_t pixels = count({labels.shape[1], labels.shape[2]});
    for (const auto& [shape, rows] : groups) {
        const Tensor logits = predict_logits(*engine_, stacked(prepared, rows, fixed_batch_ ? size : 0), spec(), mirror);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            Tensor one = slice(logits, static_cast<std::int64_t>(i), static_cast<std::int64_t>(i + 1));
            one.shape.erase(one.shape.begin());
            const Box& box = prepared[rows[i]].box;
            decide(resample(one, box.height, box.width, spec().logits_order), spec(), box, labels.shape[2],
                   labels.values.data() + (first + rows[i]) * pixels);
        }
    }
}

}  // namespace cldm
