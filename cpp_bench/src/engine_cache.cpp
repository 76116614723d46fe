#include "engine_cache.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cldm/error.hpp"
#include "cldm/manifest.hpp"

namespace cldm {
namespace {

constexpr std::size_t kDigest = 64;  // hexadecimal digits of SHA-256 before the engine in a file

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::filesystem::path cache_folder() {
    if (const std::string given = environment("CLDM_CACHE"); !given.empty()) {
        return given;
    }
    if (const std::string caches = environment("XDG_CACHE_HOME"); !caches.empty()) {
        return std::filesystem::path(caches) / "cldm";
    }
    return std::filesystem::path(environment("HOME")) / ".cache" / "cldm";
}

// Every byte, or false with errno.
bool write_all(int file, const void* data, std::size_t size) {
    const char* from = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t done = ::write(file, from, size);
        if (done < 0 && errno != EINTR) {
            return false;
        }
        from += done > 0 ? done : 0;
        size -= done > 0 ? static_cast<std::size_t>(done) : 0;
    }
    return true;
}

}  // namespace

std::filesystem::path engine_folder() {
    const std::filesystem::path folder = cache_folder() / "tensorrt-cpp";
    std::error_code ignored;  // what cannot be made is found out next
    std::filesystem::create_directories(folder.parent_path(), ignored);
    struct stat found {};
    if ((mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) || lstat(folder.c_str(), &found) != 0) {
        throw ProviderError(folder.string() + ": compiled engines cannot be kept there (" + std::strerror(errno) +
                            "). Set CLDM_CACHE to a folder of your own.");
    }
    if (!S_ISDIR(found.st_mode) || found.st_uid != getuid() || (found.st_mode & 022U) != 0) {
        throw ProviderError(folder.string() + ": others own it or may write to it, and what lies there is run as code. "
                            "Expected a folder of your own: chmod 700 it, or set CLDM_CACHE to another one.");
    }
    return folder;
}

std::optional<std::vector<unsigned char>> read_engine(const std::string& name) {
    const int file = open((engine_folder() / name).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) {
        return {};
    }
    std::vector<unsigned char> data;
    std::vector<unsigned char> part(std::size_t{1} << 20);
    ssize_t got = 0;
    while ((got = ::read(file, part.data(), part.size())) > 0) {
        data.insert(data.end(), part.begin(), part.begin() + got);
    }
    close(file);
    if (got < 0 || data.size() < kDigest) {
        return {};
    }
    const std::string digest(data.begin(), data.begin() + kDigest);
    data.erase(data.begin(), data.begin() + kDigest);
    return sha256_of(data) == digest ? std::optional(data) : std::nullopt;
}

void write_engine(const std::string& name, const std::vector<unsigned char>& data) {
    const std::filesystem::path path = engine_folder() / name;
    const std::string unfinished = path.string() + "." + std::to_string(getpid()) + ".partial";
    const int file = open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    const bool written = file >= 0 && write_all(file, sha256_of(data).data(), kDigest) && write_all(file, data.data(), data.size());
    const int fault = errno;
    if (file >= 0) {
        close(file);
    }
    if (!written || std::rename(unfinished.c_str(), path.c_str()) != 0) {
        unlink(unfinished.c_str());
        throw ProviderError(path.string() + ": cannot be written (" + std::strerror(written ? errno : fault) +
                            "). Free some space, or set CLDM_CACHE.");
    }
}

}  // namespace cldm
