// The process of one contender, with the protocol of cldm_runtime.bench.child: one JSON object a line, each answered by
// one. What goes wrong in a request is an answer too.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>

#include "cldm/error.hpp"
#include "commands.hpp"
#include "networks_work.hpp"

namespace cldm {
namespace {

using nlohmann::json;

constexpr const char* kFactory = "cldm_runtime.bench.work:BundleNetworks";

double since(std::chrono::steady_clock::time_point begun) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

// What `name` says; null and absent are the same.
template <class T>
T given(const json& arguments, const char* name, T otherwise) {
    return arguments.contains(name) && !arguments[name].is_null() ? arguments[name].get<T>() : otherwise;
}

std::unique_ptr<NetworksWork> loaded(const json& request) {
    if (request["factory"] != kFactory) {
        throw InputError("factory " + request["factory"].dump() + ": this program carries out " + kFactory + ".");
    }
    const json& arguments = request.at("arguments");
    const std::string folder = arguments.at("bundle");
    Sampling how = asked_sampling({}, Bundle(folder).manifest());
    how.sampler = given(arguments, "sampler", how.sampler);
    how.steps = given(arguments, "steps", how.steps);
    how.guidance = given(arguments, "guidance", how.guidance);
    return std::make_unique<NetworksWork>(folder, given(arguments, "provider", std::string("cpu")),
                                          given(arguments, "threads", Arguments{}.threads()),
                                          given(arguments, "seed", std::uint64_t{0}), how);
}

// The most memory that this process has held at a time.
std::uint64_t peak_memory_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (word == "VmHWM:") {
            std::uint64_t kibibytes = 0;
            status >> kibibytes;
            return kibibytes * 1024;
        }
    }
    throw std::runtime_error("/proc/self/status tells no VmHWM");
}

json answer(std::unique_ptr<NetworksWork>& work, const json& request) {
    const auto begun = std::chrono::steady_clock::now();
    if (request.contains("factory")) {
        work = loaded(request);
        return {{"load", since(begun)}};
    }
    const std::string action = request.at("do");
    if (!work) {
        throw InputError("nothing is loaded");
    }
    if (action == "prepare") {
        work->prepare(request.at("batch").get<std::size_t>());
        return json::object();
    }
    if (action == "facts") {
        return {{"facts", work->facts()}, {"peak_memory_bytes", peak_memory_bytes()}};
    }
    if (action == "estimate") {
        return {{"parts", work->estimate()}};
    }
    if (action != "complete") {
        throw InputError("do " + action + " is unknown");
    }
    const std::size_t images = work->complete();
    return {{"seconds", since(begun)}, {"images", images}};
}

}  // namespace

// Answers go to what was stdout; what anybody prints goes to stderr.
int child(const Arguments&) {
    const std::unique_ptr<std::FILE, decltype(&std::fclose)> answers(fdopen(dup(1), "w"), &std::fclose);
    if (!answers || dup2(2, 1) < 0) {
        throw std::runtime_error("stdout cannot be duplicated");
    }
    std::unique_ptr<NetworksWork> work;
    for (std::string line; std::getline(std::cin, line);) {
        json said;
        try {
            said = answer(work, json::parse(line));
        } catch (const std::exception& error) {
            said = {{"error", error.what()}};
        }
        std::fprintf(answers.get(), "%s\n", said.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
        std::fflush(answers.get());
    }
    return 0;
}

}  // namespace cldm
