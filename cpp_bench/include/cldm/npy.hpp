// NumPy's .npy and .npz files, as far as bundles use them: little endian, float32, int64 and uint8. What does not
// read or write is an InputError.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cldm/tensor.hpp"

namespace cldm {

struct Array {
    std::string kind;  // "float32", "int64" or "uint8"
    Shape shape;
    std::vector<unsigned char> bytes;

    Tensor as_tensor() const;         // float32 as it is, uint8 as numbers; InputError for int64
    Labels as_labels() const;         // InputError for anything but uint8
    std::int64_t as_integer() const;  // a scalar of int64; InputError for anything else
};

Array parse_npy(const std::vector<unsigned char>& bytes, const std::string& name);
Array read_npy(const std::filesystem::path& path);
void write_npy(const std::filesystem::path& path, const Tensor& tensor);
void write_npy(const std::filesystem::path& path, const Labels& labels);

// The arrays of an .npz by name, without the .npy behind it. At most `limit` bytes are unpacked.
std::map<std::string, Array> read_npz(const std::vector<unsigned char>& bytes, const std::string& name,
                                      std::size_t limit = std::size_t{1} << 30);

std::vector<unsigned char> read_file(const std::filesystem::path& path);

}  // namespace cldm
