#include "commands.hpp"

#include <cstdio>
#include <numeric>

#include "cldm/error.hpp"
#include "cldm/noise.hpp"
#include "cldm/npy.hpp"
#include "cldm/pipeline.hpp"
#include "cldm/reference.hpp"
#include "cldm/segment.hpp"

namespace cldm {
namespace {

// Prints each check, and knows which failed.
class Checks {
public:
    explicit Checks(const Manifest& manifest) : manifest_(manifest) {}

    void add(const std::string& name, const Tensor& found, const Tensor& expected, double tolerance) {
        const double error = largest_error(found, expected);
        const bool held = error <= tolerance;  // false for what is not a number
        std::printf("%-28s largest error %.3g, allowed %.3g: %s\n", name.c_str(), error, tolerance, held ? "ok" : "FAILED");
        if (!held) {
            failed += (failed.empty() ? "" : ", ") + name;
        }
    }

    void add(const std::string& name, const Tensor& found, const Tensor& expected) {
        add(name, found, expected, manifest_.tolerances.at(name));
    }

    std::string failed;

private:
    const Manifest& manifest_;
};

void check_loop(const Bundle& bundle, const Reference& reference, const Arguments& arguments, Checks& checks) {
    Pipeline pipeline(bundle, arguments.text("provider", "cpu"), arguments.threads());
    const std::uint64_t seed = bundle.manifest().reference_seed;
    const Tensors& loop = reference.loop.inputs;
    std::vector<std::uint64_t> indices(static_cast<std::size_t>(loop.at("x").batch()));
    std::iota(indices.begin(), indices.end(), 0);
    Tensors drawn = pipeline.decoder_noise(seed, indices);
    drawn.merge(pipeline.scan_noise(seed, indices));
    drawn["x"] = pipeline.initial_noise(seed, indices);
    for (const auto& [name, tensor] : drawn) {
        checks.add("loop/in/" + name, tensor, loop.count(name) ? loop.at(name) : Tensor{}, 0.0);
    }
    Sampling how = pipeline.sampling();
    how.steps = reference.loop_steps;
    const Batch batch = pipeline.sample(views(loop), seed, indices, how);
    checks.add("loop/latent", batch.latent, reference.loop.outputs.at("latent"));
    const std::string output = bundle.manifest().drawn();
    checks.add("loop/" + output, batch.image, reference.loop.outputs.at(output));
}

}  // namespace

int verify(const Arguments& arguments) {
    const Bundle bundle(arguments.at(0, "BUNDLE"));
    const std::string provider = arguments.text("provider", "cpu");
    check_provider(provider);
    const Reference reference = read_reference(bundle);
    Checks checks(bundle.manifest());
    for (const auto& [role, graph] : bundle.manifest().graphs) {
        const Case& known = reference.graphs.at(role);
        const Tensor found = open_engine(bundle, role, provider, arguments.threads())->run(views(known.inputs));
        checks.add(role + "/" + graph.outputs[0].name, found, known.outputs.at(graph.outputs[0].name));
    }
    if (bundle.manifest().kind == "generator") {
        check_loop(bundle, reference, arguments, checks);
    }
    if (!checks.failed.empty()) {
        throw BundleError("bundle " + bundle.folder().string() + ": " + checks.failed + " differ from the reference on "
                          "provider " + provider + " by more than the tolerance. Do not use it here.");
    }
    return 0;
}

Sampling asked_sampling(const Arguments& arguments, const Manifest& manifest) {
    if (!manifest.sampling || !manifest.schedule) {
        throw BundleError("bundle " + manifest.name + " is a " + manifest.kind + ", expected a generator.");
    }
    Sampling how = *manifest.sampling;
    how.sampler = arguments.text("sampler", how.sampler);
    how.spacing = arguments.text("spacing", how.spacing);
    how.steps = arguments.whole("steps", how.steps);
    how.guidance = arguments.number("guidance", how.guidance);
    check_sampling(manifest, how);
    return how;
}

int generate(const Arguments& arguments) {
    Pipeline pipeline(Bundle(arguments.at(0, "BUNDLE")), arguments.text("provider", "cpu"), arguments.threads());
    Sampling how = asked_sampling(arguments, pipeline.bundle().manifest());
    how.batch_size = arguments.whole("batch", how.batch_size);
    const std::uint64_t seed = arguments.natural("seed", 0), first = arguments.natural("first", 0);
    const std::vector<Condition>& conditions = pipeline.bundle().manifest().conditions;
    const std::string given = conditions.empty() ? "n" : conditions.front().source == "images" ? "images" : "masks";
    for (const char* option : {"n", "images", "masks"}) {
        if (option != given && !arguments.text(option, "").empty()) {
            throw InputError("--" + std::string(option) + ": bundle " + pipeline.bundle().manifest().name + " takes --" + given +
                             ".");
        }
    }
    const std::string value = arguments.required(given), target = arguments.required("out");
    write_npy(target, given == "n"        ? pipeline.generate(arguments.whole("n", 1), seed, first, how)
                      : given == "images" ? pipeline.generate(read_npy(value).as_tensor(), seed, first, how)
                                          : pipeline.generate(read_npy(value).as_labels(), seed, first, how));
    return 0;
}

int segment(const Arguments& arguments) {
    Segmenter segmenter(Bundle(arguments.at(0, "BUNDLE")), arguments.text("provider", "cpu"), arguments.threads());
    const std::string file = arguments.required("images"), target = arguments.required("out");
    std::optional<Spacing> spacing;
    if (const std::vector<double> mm = arguments.numbers("spacing-mm"); !mm.empty()) {
        if (mm.size() != 2) {
            throw InputError("--spacing-mm: expected two numbers, rows,columns, such as 1.25,1.25.");
        }
        spacing = Spacing{mm[0], mm[1]};
    }
    std::optional<bool> mirror;
    if (const std::string word = arguments.text("mirror", ""); !word.empty()) {
        if (word != "yes" && word != "no") {
            throw InputError("--mirror: found " + word + ", expected yes or no.");
        }
        mirror = word == "yes";
    }
    write_npy(target, segmenter.segment(read_npy(file).as_tensor(), spacing, mirror, arguments.whole("batch", 16)));
    return 0;
}

int noise(const Arguments& arguments) {
    std::vector<std::uint64_t> given;
    for (const char* what : {"SEED", "INDEX", "PURPOSE", "STEP", "COUNT"}) {
        given.push_back(natural_number(arguments.at(given.size(), what), what));
    }
    Tensor drawn({static_cast<std::int64_t>(given[4])});
    Stream(given[0], given[1], static_cast<Purpose>(given[2]), given[3]).normals(drawn.data.data(), drawn.data.size());
    write_npy(arguments.required("out"), drawn);
    return 0;
}

}  // namespace cldm
