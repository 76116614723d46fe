// cldm-cpp: a bundle without Python. See usage() for what it does.
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <thread>

#include <nlohmann/json.hpp>

#include "cldm/error.hpp"
#include "cldm/noise.hpp"
#include "cldm/npy.hpp"
#include "cldm/pipeline.hpp"

namespace {

using namespace cldm;
using Clock = std::chrono::steady_clock;

constexpr const char* kUsage = R"(cldm-cpp: generate with a bundle, without Python. Research only; not a medical device.

cldm-cpp verify BUNDLE [--provider P] [--threads T]                replay reference.npz; exit 3 where it is not met
cldm-cpp generate BUNDLE --masks M.npy --out I.npy [--seed S] [--first F] [--batch B]
                  [--sampler NAME] [--steps K] [--spacing NAME] [--guidance W]
                                                                   images (N, C, H, W) float32 for label maps (N, H, W) uint8
cldm-cpp bench BUNDLE [--batch B] [--rounds R] [--seconds X]       images a second of the networks, as a row of JSON
cldm-cpp noise SEED INDEX PURPOSE STEP COUNT --out N.npy           standard normals of one stream

--provider: )";

struct Arguments {
    std::vector<std::string> positional;
    std::map<std::string, std::string> options;

    std::string text(const std::string& name, const std::string& otherwise) const {
        const auto found = options.find(name);
        return found == options.end() ? otherwise : found->second;
    }

    std::string required(const std::string& name) const {
        const auto found = options.find(name);
        if (found == options.end()) {
            throw Error("--" + name + " is missing. Run cldm-cpp --help.");
        }
        return found->second;
    }

    double number(const std::string& name, double otherwise) const {
        const auto found = options.find(name);
        if (found == options.end()) {
            return otherwise;
        }
        std::size_t read = 0;
        double value = 0.0;
        try {
            value = std::stod(found->second, &read);
        } catch (const std::logic_error&) {
            read = 0;
        }
        if (read != found->second.size() || !std::isfinite(value)) {
            throw Error("--" + name + ": found " + found->second + ", expected a number.");
        }
        return value;
    }

    int whole(const std::string& name, int otherwise, int least = 1) const {
        const double value = number(name, otherwise);
        if (value != std::floor(value) || value < least || value > 1e9) {
            throw Error("--" + name + ": found " + text(name, "") + ", expected a whole number of at least " +
                        std::to_string(least) + ".");
        }
        return static_cast<int>(value);
    }
};

std::uint64_t unsigned_number(const std::string& text) {
    std::size_t read = 0;
    unsigned long long value = 0;
    try {
        value = std::stoull(text, &read);
    } catch (const std::logic_error&) {
        read = 0;
    }
    if (text.empty() || read != text.size() || text[0] == '-') {
        throw Error("found " + text + ", expected a whole number of 0 or more.");
    }
    return value;
}

Arguments parse(int count, char** values) {
    const std::vector<std::string> known = {"provider", "threads", "masks", "out", "seed", "first", "batch", "sampler",
                                            "steps", "spacing", "guidance", "rounds", "seconds"};
    Arguments arguments;
    for (int i = 2; i < count; ++i) {
        const std::string text = values[i];
        if (text.rfind("--", 0) != 0) {
            arguments.positional.push_back(text);
            continue;
        }
        const std::string name = text.substr(2);
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            throw Error(text + " is unknown. Run cldm-cpp --help.");
        }
        if (i + 1 == count) {
            throw Error(text + ": a value is missing.");
        }
        arguments.options[name] = values[++i];
    }
    return arguments;
}

const std::string& positional(const Arguments& arguments, std::size_t at, const char* what) {
    if (arguments.positional.size() <= at) {
        throw Error(std::string(what) + " is missing. Run cldm-cpp --help.");
    }
    return arguments.positional[at];
}

int threads(const Arguments& arguments) {
    return arguments.whole("threads", static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
}

// Largest absolute difference; infinite where shapes differ, not a number where a value is none.
double largest_error(const Tensor& found, const Tensor& expected) {
    if (found.shape != expected.shape) {
        return std::numeric_limits<double>::infinity();
    }
    double worst = 0.0;
    for (std::size_t i = 0; i < found.data.size(); ++i) {
        const double apart = std::abs(static_cast<double>(found.data[i]) - static_cast<double>(expected.data[i]));
        if (std::isnan(apart)) {
            return apart;
        }
        worst = std::max(worst, apart);
    }
    return worst;
}

bool report(const std::string& name, double error, double tolerance) {
    const bool held = error <= tolerance;  // false for what is not a number
    std::printf("%-28s largest error %.3g, allowed %.3g: %s\n", name.c_str(), error, tolerance, held ? "ok" : "FAILED");
    return held;
}

int verify(const Arguments& arguments) {
    const Bundle bundle(positional(arguments, 0, "BUNDLE"));
    const Manifest& manifest = bundle.manifest();
    const auto arrays = read_npz(bundle.read(manifest.reference_file, manifest.reference_sha256), manifest.reference_file);
    const std::string provider = arguments.text("provider", "cpu");
    bool held = true;
    std::map<std::string, Tensors> in, out;
    for (const auto& [key, array] : arrays) {
        const std::size_t first = key.find('/'), second = key.find('/', first + 1);
        if (second != std::string::npos) {
            (key.substr(first + 1, second - first - 1) == "in" ? in : out)[key.substr(0, first)][key.substr(second + 1)] = array.as_tensor();
        }
    }
    for (const auto& [role, graph] : manifest.graphs) {
        const std::string name = role + "/" + graph.outputs.at(0).name;
        if (out[role].empty() || manifest.tolerances.count(name) == 0) {
            throw Error("the reference has nothing for graph " + role + ". Export the bundle again.");
        }
        const Tensor found = open_engine(bundle, role, provider, threads(arguments))->run(in[role]);
        held = report(name, largest_error(found, out[role].at(graph.outputs[0].name)), manifest.tolerances.at(name)) && held;
    }
    if (manifest.kind == "generator") {
        Pipeline pipeline(bundle, provider, threads(arguments));
        const Tensors& loop = in.at("loop");
        std::vector<std::uint64_t> indices(static_cast<std::size_t>(loop.at("x").batch()));
        std::iota(indices.begin(), indices.end(), 0);
        Tensors drawn = pipeline.decoder_noise(manifest.reference_seed, indices);
        drawn["x"] = pipeline.initial_noise(manifest.reference_seed, indices);
        for (const auto& [name, tensor] : drawn) {
            held = report("loop/in/" + name, largest_error(tensor, loop.at(name)), 0.0) && held;
        }
        Sampling how = pipeline.sampling();
        how.steps = static_cast<int>(arrays.at("loop/steps").as_integer());
        const Batch batch = pipeline.sample(loop, manifest.reference_seed, indices, how);
        held = report("loop/latent", largest_error(batch.latent, out["loop"].at("latent")), manifest.tolerances.at("loop/latent")) && held;
        held = report("loop/image", largest_error(batch.image, out["loop"].at("image")), manifest.tolerances.at("loop/image")) && held;
    }
    return held ? 0 : 3;
}

Sampling asked(const Arguments& arguments, const Manifest& manifest) {
    Sampling how = *manifest.sampling;
    how.sampler = arguments.text("sampler", how.sampler);
    how.spacing = arguments.text("spacing", how.spacing);
    how.steps = arguments.whole("steps", how.steps);
    how.guidance = arguments.number("guidance", how.guidance);
    how.batch_size = arguments.whole("batch", how.batch_size);
    const Sampling& only = *manifest.sampling;
    if (manifest.distilled && (how.sampler != only.sampler || how.spacing != only.spacing || how.steps != only.steps || how.guidance != 1.0)) {
        throw Error("bundle " + manifest.name + " was distilled for " + std::to_string(only.steps) + " steps of " +
                    only.sampler + " and serves no others. Leave --sampler, --spacing, --steps and --guidance out.");
    }
    return how;
}

int generate(const Arguments& arguments) {
    const Bundle bundle(positional(arguments, 0, "BUNDLE"));
    Pipeline pipeline(bundle, arguments.text("provider", "cpu"), threads(arguments));
    const std::string file = arguments.required("masks"), target = arguments.required("out");
    const Array maps = read_npy(file);
    const Shape& image = bundle.manifest().image;
    if (maps.kind != "uint8" || maps.shape.size() != image.size() || !std::equal(image.begin() + 1, image.end(), maps.shape.begin() + 1)) {
        throw Error(file + ": expected label maps (N, spatial) of uint8 in the bundle's size, found " + maps.kind + ".");
    }
    const Sampling how = asked(arguments, bundle.manifest());
    const std::uint64_t seed = unsigned_number(arguments.text("seed", "0")), first = unsigned_number(arguments.text("first", "0"));
    const std::int64_t samples = maps.shape[0];
    Shape shape = image;
    shape.insert(shape.begin(), samples);
    Tensor images(shape);
    const std::size_t pixels = samples > 0 ? maps.bytes.size() / static_cast<std::size_t>(samples) : 0;
    for (std::int64_t at = 0; at < samples; at += how.batch_size) {
        const std::int64_t end = std::min<std::int64_t>(at + how.batch_size, samples);
        Shape part = maps.shape;
        part[0] = end - at;
        const std::vector<std::uint8_t> labels(maps.bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(at) * pixels),
                                               maps.bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(end) * pixels));
        std::vector<std::uint64_t> indices(static_cast<std::size_t>(end - at));
        std::iota(indices.begin(), indices.end(), first + static_cast<std::uint64_t>(at));
        const Tensors sources{{"one_hot", one_hot(part, labels, bundle.manifest().labels.size())}};
        const Batch batch = pipeline.sample(sources, seed, indices, how);
        std::copy(batch.image.data.begin(), batch.image.data.end(),
                  images.data.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(at) * images.stride()));
    }
    write_npy(target, images);
    return 0;
}

int bench(const Arguments& arguments) {
    const Bundle bundle(positional(arguments, 0, "BUNDLE"));
    const auto begun = Clock::now();
    const auto since = [](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); };
    const std::string provider = arguments.text("provider", "cpu");
    Pipeline pipeline(bundle, provider, threads(arguments));
    const Sampling how = asked(arguments, bundle.manifest());
    const Shape& image = bundle.manifest().image;
    const auto batch = [&](std::uint64_t size, std::uint64_t from) {
        Shape shape(image.begin(), image.end());
        shape[0] = static_cast<std::int64_t>(size);
        std::vector<std::uint64_t> indices(size);
        std::iota(indices.begin(), indices.end(), from);
        // What the label maps show makes no difference to the time.
        const Tensors sources{{"one_hot", one_hot(shape, std::vector<std::uint8_t>(count(shape)), bundle.manifest().labels.size())}};
        pipeline.sample(sources, 0, indices, how);
    };
    batch(1, 0);
    const double first = since(begun);
    batch(static_cast<std::uint64_t>(how.batch_size), 0);  // warm-up at this size
    std::vector<double> seconds;
    for (int round = 0, rounds = arguments.whole("rounds", 5); round < rounds; ++round) {
        const auto start = Clock::now();
        std::uint64_t images = 0;
        do {
            batch(static_cast<std::uint64_t>(how.batch_size), images);
            images += static_cast<std::uint64_t>(how.batch_size);
        } while (since(start) < arguments.number("seconds", 0.0));
        seconds.push_back(since(start) / static_cast<double>(images));
    }
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    const double median = sorted.size() % 2 ? sorted[sorted.size() / 2] : (sorted[sorted.size() / 2 - 1] + sorted[sorted.size() / 2]) / 2;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    nlohmann::json row = {
        {"name", bundle.manifest().name + " in C++, " + how.sampler + " " + std::to_string(how.steps)}, {"kind", "networks"},
        {"networks", bundle.manifest().name + " " + bundle.manifest().version}, {"sampler", how.sampler}, {"steps", how.steps},
        {"guidance", how.guidance}, {"provider", provider}, {"threads", threads(arguments)}, {"batch_size", how.batch_size},
        {"images_per_second", 1.0 / median}, {"seconds_per_image", seconds}, {"first_image_seconds", first},
        {"peak_memory_mib", usage.ru_maxrss / 1024}, {"timing", "whole"}, {"seed", 0}};
    std::cout << row.dump() << "\n";
    return 0;
}

int noise(const Arguments& arguments) {
    const std::uint64_t count = unsigned_number(positional(arguments, 4, "COUNT"));
    Tensor drawn({static_cast<std::int64_t>(count)});
    Stream(unsigned_number(arguments.positional[0]), unsigned_number(arguments.positional[1]),
           static_cast<Purpose>(unsigned_number(arguments.positional[2])), unsigned_number(arguments.positional[3]))
        .normals(drawn.data.data(), count);
    write_npy(arguments.required("out"), drawn);
    return 0;
}

}  // namespace

int main(int count, char** values) {
    const std::map<std::string, std::function<int(const Arguments&)>> commands = {
        {"verify", verify}, {"generate", generate}, {"bench", bench}, {"noise", noise}};
    const std::string command = count > 1 ? values[1] : "";
    if (commands.count(command) == 0) {
        std::ostream& to = command == "--help" || command == "-h" ? std::cout : std::cerr;
        to << kUsage;
        for (const std::string& name : providers()) {
            to << name << " ";
        }
        to << "\n";
        return &to == &std::cout ? 0 : 2;
    }
    try {
        return commands.at(command)(parse(count, values));
    } catch (const std::exception& error) {  // onnxruntime and torch have errors of their own
        std::cerr << "error: " << error.what() << "\n";
        return 2;
    }
}
