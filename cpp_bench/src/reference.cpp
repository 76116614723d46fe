#include "cldm/reference.hpp"

#include <cmath>
#include <limits>

#include "cldm/error.hpp"
#include "cldm/npy.hpp"

namespace cldm {
namespace {

// <role>/in/<tensor> and <role>/out/<tensor>; other keys are left out.
std::map<std::string, Case> cases_of(const std::map<std::string, Array>& arrays) {
    std::map<std::string, Case> cases;
    for (const auto& [key, array] : arrays) {
        const std::size_t first = key.find('/'), second = key.find('/', first + 1);
        if (second != std::string::npos) {
            Case& found = cases[key.substr(0, first)];
            const bool goes_in = key.substr(first + 1, second - first - 1) == "in";
            (goes_in ? found.inputs : found.outputs)[key.substr(second + 1)] = array.as_tensor();
        }
    }
    return cases;
}

void require_complete(const Manifest& manifest, const Reference& reference) {
    const auto need = [&](const Case& found, const std::string& role, const std::string& output) {
        if (found.outputs.count(output) == 0 || manifest.tolerances.count(role + "/" + output) == 0) {
            throw BundleError("the reference has nothing for " + role + "/" + output + ". Export the bundle again.");
        }
    };
    for (const auto& [role, graph] : manifest.graphs) {
        const auto found = reference.graphs.find(role);
        need(found == reference.graphs.end() ? Case{} : found->second, role, graph.outputs.at(0).name);
    }
    if (manifest.kind == "generator") {
        need(reference.loop, "loop", "latent");
        need(reference.loop, "loop", manifest.drawn());
        if (reference.loop.inputs.count("x") == 0 || reference.loop_steps < 1) {
            throw BundleError("the reference has no loop/in/x or no loop/steps. Export the bundle again.");
        }
    }
}

}  // namespace

Reference read_reference(const Bundle& bundle) {
    const Manifest& manifest = bundle.manifest();
    Reference reference;
    try {
        const auto arrays = read_npz(bundle.read(manifest.reference_file, manifest.reference_sha256), manifest.reference_file);
        reference.graphs = cases_of(arrays);
        if (const auto steps = arrays.find("loop/steps"); steps != arrays.end()) {
            reference.loop_steps = static_cast<int>(steps->second.as_integer());
        }
    } catch (const InputError& error) {
        throw BundleError(error.what());
    }
    if (const auto loop = reference.graphs.find("loop"); loop != reference.graphs.end()) {
        reference.loop = std::move(loop->second);
        reference.graphs.erase(loop);
    }
    require_complete(manifest, reference);
    return reference;
}

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

}  // namespace cldm
