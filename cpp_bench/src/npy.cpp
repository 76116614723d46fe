#include "cldm/npy.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>

#include "cldm/error.hpp"

namespace cldm {
namespace {

constexpr std::size_t kEndOfDirectory = 22, kEntry = 46, kLocal = 30;

std::uint32_t little(const std::vector<unsigned char>& bytes, std::size_t at, int size) {
    if (at + static_cast<std::size_t>(size) > bytes.size()) {
        throw InputError("the archive ends too early");
    }
    std::uint32_t value = 0;
    for (int i = size - 1; i >= 0; --i) {
        value = (value << 8) | bytes[at + static_cast<std::size_t>(i)];
    }
    return value;
}

std::size_t size_of(const std::string& kind) { return kind == "float32" ? 4 : kind == "int64" ? 8 : 1; }

// The text behind 'key': in the header of an .npy.
std::string field(const std::string& header, const std::string& key, const std::string& name) {
    const std::size_t at = header.find("'" + key + "'");
    const std::size_t colon = at == std::string::npos ? at : header.find(':', at);
    if (colon == std::string::npos) {
        throw InputError(name + ": the header has no " + key + "; expected a .npy file of NumPy.");
    }
    return header.substr(header.find_first_not_of(' ', colon + 1));
}

Shape shape_of(const std::string& text, const std::string& name) {
    const std::size_t open = text.find('('), close = text.find(')');
    if (open != 0 || close == std::string::npos) {
        throw InputError(name + ": the header's shape is not a tuple.");
    }
    Shape shape;
    std::string number;
    for (const char c : text.substr(1, close - 1) + ",") {
        if (c >= '0' && c <= '9') {
            number += c;
        } else if (c == ',' && !number.empty()) {
            if (number.size() > 12) {
                throw InputError(name + ": a dimension of " + number + " is too large.");
            }
            shape.push_back(std::stoll(number));
            number.clear();
        } else if (c != ' ' && c != ',') {
            throw InputError(name + ": the header's shape is not made of numbers.");
        }
    }
    return shape;
}

std::vector<unsigned char> inflated(const unsigned char* from, std::size_t packed, std::size_t size,
                                    const std::string& name) {
    std::vector<unsigned char> out(size);
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        throw InputError(name + ": zlib does not start.");
    }
    stream.next_in = const_cast<unsigned char*>(from);  // zlib's interface; it does not write there
    stream.avail_in = static_cast<uInt>(packed);
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(size);
    const int ended = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    if (ended != Z_STREAM_END || stream.total_out != size) {
        throw InputError(name + ": damaged, its bytes do not unpack.");
    }
    return out;
}

// The bytes of an array whose first axis runs fastest, with its last axis running fastest.
std::vector<unsigned char> c_order(const Array& array) {
    const std::size_t each = size_of(array.kind), axes = array.shape.size(), all = count(array.shape);
    std::vector<unsigned char> out(array.bytes.size());
    std::vector<std::size_t> at(axes, 0);
    for (std::size_t to = 0; to < all; ++to) {
        std::size_t from = 0;
        for (std::size_t axis = axes; axis-- > 0;) {
            from = from * static_cast<std::size_t>(array.shape[axis]) + at[axis];
        }
        std::memcpy(out.data() + to * each, array.bytes.data() + from * each, each);
        for (std::size_t axis = axes; axis-- > 0 && ++at[axis] == static_cast<std::size_t>(array.shape[axis]);) {
            at[axis] = 0;
        }
    }
    return out;
}

std::string header_of(const std::string& kind, const Shape& shape) {
    std::string text = "{'descr': '" + kind + "', 'fortran_order': False, 'shape': (";
    for (const std::int64_t size : shape) {
        text += std::to_string(size) + ",";
    }
    text += "), }";
    const std::size_t all = (10 + text.size() + 1 + 63) / 64 * 64;
    text.resize(all - 10 - 1, ' ');
    return text + "\n";
}

void write_array(const std::filesystem::path& path, const std::string& kind, const Shape& shape, const void* data,
                 std::size_t bytes) {
    std::ofstream file(path, std::ios::binary);
    const std::string header = header_of(kind, shape);
    const std::uint16_t size = static_cast<std::uint16_t>(header.size());
    const char start[] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<char>(size & 0xff), static_cast<char>(size >> 8)};
    file.write(start, sizeof start);
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    file.flush();
    if (!file) {
        throw InputError(path.string() + ": cannot be written. Choose another name, or free some space.");
    }
}

}  // namespace

std::vector<unsigned char> read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw InputError(path.string() + ": cannot be read. Check the path.");
    }
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Array parse_npy(const std::vector<unsigned char>& bytes, const std::string& name) {
    const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    if (bytes.size() < 12 || !std::equal(magic, magic + sizeof magic, bytes.begin())) {
        throw InputError(name + ": is not a .npy file of NumPy.");
    }
    const bool first = bytes[6] == 1;
    const std::size_t start = first ? 10 : 12;
    const std::size_t length = little(bytes, 8, first ? 2 : 4);
    if (start + length > bytes.size()) {
        throw InputError(name + ": ends within its header.");
    }
    const std::string header(bytes.begin() + static_cast<std::ptrdiff_t>(start),
                             bytes.begin() + static_cast<std::ptrdiff_t>(start + length));
    const std::string descr = field(header, "descr", name);
    Array array;
    for (const auto& [code, kind] : std::map<std::string, std::string>{{"'<f4'", "float32"}, {"'<i8'", "int64"}, {"'|u1'", "uint8"}}) {
        if (descr.compare(0, code.size(), code) == 0) {
            array.kind = kind;
        }
    }
    if (array.kind.empty()) {
        throw InputError(name + ": expected float32, int64 or uint8, found " + header.substr(0, 60));
    }
    array.shape = shape_of(field(header, "shape", name), name);
    const std::size_t wanted = count(array.shape) * size_of(array.kind);
    if (bytes.size() - start - length != wanted) {
        throw InputError(name + ": holds " + std::to_string(bytes.size() - start - length) + " bytes of data, expected " +
                    std::to_string(wanted) + ".");
    }
    array.bytes.assign(bytes.begin() + static_cast<std::ptrdiff_t>(start + length), bytes.end());
    if (field(header, "fortran_order", name).compare(0, 4, "True") == 0) {
        array.bytes = c_order(array);
    }
    return array;
}

Array read_npy(const std::filesystem::path& path) { return parse_npy(read_file(path), path.string()); }

Tensor Array::as_tensor() const {
    Tensor tensor(shape);
    if (kind == "float32") {
        std::memcpy(tensor.data.data(), bytes.data(), bytes.size());
    } else if (kind == "uint8") {
        std::copy(bytes.begin(), bytes.end(), tensor.data.begin());
    } else {
        throw InputError("an array of " + kind + " where float32 or uint8 was expected.");
    }
    return tensor;
}

Labels Array::as_labels() const {
    if (kind != "uint8") {
        throw InputError("label maps of " + kind + ", expected uint8.");
    }
    return {shape, bytes};
}

std::int64_t Array::as_integer() const {
    if (kind != "int64" || !shape.empty()) {
        throw InputError("an array of " + kind + " where one integer was expected.");
    }
    std::int64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
    write_array(path, "<f4", tensor.shape, tensor.data.data(), tensor.data.size() * sizeof(float));
}

void write_npy(const std::filesystem::path& path, const Labels& labels) {
    write_array(path, "|u1", labels.shape, labels.values.data(), labels.values.size());
}

std::map<std::string, Array> read_npz(const std::vector<unsigned char>& bytes, const std::string& name,
                                      std::size_t limit) {
    if (bytes.size() < kEndOfDirectory) {
        throw InputError(name + ": is not an .npz file.");
    }
    std::size_t end = bytes.size() - kEndOfDirectory;
    while (end > 0 && little(bytes, end, 4) != 0x06054b50U) {
        --end;
    }
    if (little(bytes, end, 4) != 0x06054b50U) {
        throw InputError(name + ": is not an .npz file.");
    }
    std::map<std::string, Array> arrays;
    std::size_t at = little(bytes, end + 16, 4), unpacked = 0;
    for (std::uint32_t i = 0, entries = little(bytes, end + 10, 2); i < entries; ++i) {
        if (little(bytes, at, 4) != 0x02014b50U) {
            throw InputError(name + ": damaged, its directory does not read.");
        }
        const std::uint32_t method = little(bytes, at + 10, 2), packed = little(bytes, at + 20, 4),
                            size = little(bytes, at + 24, 4), letters = little(bytes, at + 28, 2),
                            local = little(bytes, at + 42, 4);
        std::string member(bytes.begin() + static_cast<std::ptrdiff_t>(at + kEntry),
                           bytes.begin() + static_cast<std::ptrdiff_t>(std::min(at + kEntry + letters, bytes.size())));
        at += kEntry + letters + little(bytes, at + 30, 2) + little(bytes, at + 32, 2);
        const std::size_t data = local + kLocal + little(bytes, local + 26, 2) + little(bytes, local + 28, 2);
        unpacked += size;
        if (data + packed > bytes.size() || unpacked > limit) {
            throw InputError(name + ": damaged or too large.");
        }
        std::vector<unsigned char> content;
        if (method == 0) {
            content.assign(bytes.begin() + static_cast<std::ptrdiff_t>(data),
                           bytes.begin() + static_cast<std::ptrdiff_t>(data + packed));
        } else if (method == 8) {
            content = inflated(bytes.data() + data, packed, size, name);
        } else {
            throw InputError(name + ": packed by an unknown method.");
        }
        if (member.size() > 4 && member.compare(member.size() - 4, 4, ".npy") == 0) {
            member.resize(member.size() - 4);
        }
        arrays[member] = parse_npy(content, name + ": " + member);
    }
    return arrays;
}

}  // namespace cldm
