#include "remote.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace cldm {

Remote::Remote() : begun_(std::chrono::steady_clock::now()) {
    int requests[2], answers[2];
    if (pipe2(requests, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0 || (process_ = fork()) < 0) {
        throw std::runtime_error("no process can be started");
    }
    if (process_ == 0) {
        if (dup2(requests[0], 0) == 0 && dup2(answers[1], 1) == 1) {
            execl("/proc/self/exe", "cldm-cpp", "child", nullptr);
        }
        _exit(127);
    }
    close(requests[0]);
    close(answers[1]);
    to_ = fdopen(requests[1], "w");
    from_ = fdopen(answers[0], "r");
    std::signal(SIGPIPE, SIG_IGN);  // a contender that has ended is noticed by its answer
}

Remote::~Remote() {
    std::fclose(to_);
    std::fclose(from_);
    waitpid(process_, nullptr, 0);
}

nlohmann::json Remote::ask(const nlohmann::json& request) {
    std::fprintf(to_, "%s\n", request.dump().c_str());
    std::fflush(to_);
    char* line = nullptr;
    std::size_t size = 0;
    const bool answered = getline(&line, &size, from_) > 0;
    const std::string text = answered ? line : "";
    std::free(line);
    if (!answered) {
        throw std::runtime_error("its process ended; it may have run out of memory");
    }
    nlohmann::json said = nlohmann::json::parse(text);
    if (said.contains("error")) {
        throw std::runtime_error(said["error"].get<std::string>());
    }
    return said;
}

double Remote::seconds_since_begun() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
}

}  // namespace cldm
