// Errors that a user can mend, with the exit codes of cldm_runtime.errors. what() says what was found, what was
// expected and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace cldm {

class Error : public std::runtime_error {
public:
    Error(const std::string& message, int code) : std::runtime_error(message), code_(code) {}
    int code() const { return code_; }

private:
    int code_;
};

// An option, a file or another input of the user's is wrong.
class InputError : public Error {
public:
    explicit InputError(const std::string& message) : Error(message, 2) {}
};

// A bundle is missing, damaged, altered, too new or inconsistent, or does not compute what its reference says.
class BundleError : public Error {
public:
    explicit BundleError(const std::string& message) : Error(message, 3) {}
};

// What should run the networks is not to be had.
class ProviderError : public Error {
public:
    explicit ProviderError(const std::string& message) : Error(message, 5) {}
};

}  // namespace cldm
