// The command line: positional arguments and options of one value each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cldm/engine.hpp"

namespace cldm {

// Whatever does not parse is an InputError that names the option.
struct Arguments {
    std::vector<std::string> positional;
    std::map<std::string, std::string> options;

    // known: the options that the command takes, without their dashes.
    static Arguments parse(int count, char** values, const std::vector<std::string>& known);

    const std::string& at(std::size_t place, const std::string& what) const;
    std::string text(const std::string& name, const std::string& otherwise) const;
    std::string required(const std::string& name) const;
    double number(const std::string& name, double otherwise) const;
    std::vector<double> numbers(const std::string& name) const;  // separated by commas
    int whole(const std::string& name, int otherwise) const;     // of at least 1
    std::uint64_t natural(const std::string& name, std::uint64_t otherwise) const;
    int threads() const { return whole("threads", all_cores()); }
};

// The text as a number of 0 or more. what: the name in the error.
std::uint64_t natural_number(const std::string& text, const std::string& what);

}  // namespace cldm
