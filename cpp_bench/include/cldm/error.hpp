// Errors that a user can mend. what() says what was found, what was expected and what to do.
#pragma once

#include <stdexcept>

namespace cldm {

class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace cldm
