#include "arguments.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "cldm/error.hpp"

namespace cldm {
namespace {

double parsed(const std::string& text, const std::string& what) {
    std::size_t read = 0;
    double value = 0.0;
    try {
        value = std::stod(text, &read);
    } catch (const std::logic_error&) {
        read = 0;
    }
    if (text.empty() || read != text.size() || !std::isfinite(value)) {
        throw InputError(what + ": found " + text + ", expected a number.");
    }
    return value;
}

}  // namespace

std::uint64_t natural_number(const std::string& text, const std::string& what) {
    std::size_t read = 0;
    unsigned long long value = 0;
    try {
        value = std::stoull(text, &read);
    } catch (const std::logic_error&) {
        read = 0;
    }
    if (text.empty() || read != text.size() || text[0] == '-') {
        throw InputError(what + ": found " + text + ", expected a whole number of 0 or more.");
    }
    return value;
}

Arguments Arguments::parse(int count, char** values, const std::vector<std::string>& known) {
    Arguments arguments;
    for (int i = 0; i < count; ++i) {
        const std::string text = values[i];
        if (text.rfind("--", 0) != 0) {
            arguments.positional.push_back(text);
            continue;
        }
        const std::string name = text.substr(2);
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            throw InputError(text + " is unknown to this command. Run cldm-cpp --help.");
        }
        if (i + 1 == count) {
            throw InputError(text + ": a value is missing.");
        }
        arguments.options[name] = values[++i];
    }
    return arguments;
}

const std::string& Arguments::at(std::size_t place, const std::string& what) const {
    if (positional.size() <= place) {
        throw InputError(what + " is missing. Run cldm-cpp --help.");
    }
    return positional[place];
}

std::string Arguments::text(const std::string& name, const std::string& otherwise) const {
    const auto found = options.find(name);
    return found == options.end() ? otherwise : found->second;
}

std::string Arguments::required(const std::string& name) const {
    const auto found = options.find(name);
    if (found == options.end()) {
        throw InputError("--" + name + " is missing. Run cldm-cpp --help.");
    }
    return found->second;
}

double Arguments::number(const std::string& name, double otherwise) const {
    const auto found = options.find(name);
    return found == options.end() ? otherwise : parsed(found->second, "--" + name);
}

std::vector<double> Arguments::numbers(const std::string& name) const {
    std::vector<double> found;
    std::istringstream parts(text(name, ""));
    for (std::string part; std::getline(parts, part, ',');) {
        found.push_back(parsed(part, "--" + name));
    }
    return found;
}

int Arguments::whole(const std::string& name, int otherwise) const {
    const double value = number(name, otherwise);
    if (value != std::floor(value) || value < 1 || value > 1e9) {
        throw InputError("--" + name + ": found " + text(name, "") + ", expected a whole number of at least 1.");
    }
    return static_cast<int>(value);
}

std::uint64_t Arguments::natural(const std::string& name, std::uint64_t otherwise) const {
    const auto found = options.find(name);
    return found == options.end() ? otherwise : natural_number(found->second, "--" + name);
}

}  // namespace cldm
