// Reads the protobuf wire format directly (protobuf.dev/programming-guides/encoding; field numbers from onnx.proto3).
#include "onnx_scan.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <set>
#include <stdexcept>

#include "onnx_operators.hpp"  // made by CMake from the runtime's onnx_operators.txt

namespace cldm {
namespace {

// Field numbers.
enum Model : std::uint64_t { kGraph = 7, kTraining = 20, kFunctions = 25 };
enum Graph : std::uint64_t { kNode = 1, kInitializer = 5, kSparseInitializer = 15 };
enum Node : std::uint64_t { kOperator = 4, kAttribute = 5, kDomain = 7 };
enum Attribute : std::uint64_t { kTensor = 5, kSubgraph = 6, kTensors = 10, kSubgraphs = 11, kSparse = 22, kSparses = 23 };
enum Tensor : std::uint64_t { kExternalData = 13, kDataLocation = 14 };

class MalformedModel : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Bytes from `at` to `end`.
struct Message {
    const unsigned char* at;
    const unsigned char* end;

    std::string text() const { return {at, end}; }
};

std::uint64_t varint(Message& from) {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70 && from.at != from.end; shift += 7) {
        const std::uint64_t byte = *from.at++;
        value |= shift < 64 ? (byte & 0x7fU) << shift : 0;
        if (byte < 0x80U) {
            return value;
        }
    }
    throw MalformedModel("ends within a number, or holds one that is too long");
}

// One field: a number, or the bytes of anything else.
struct Field {
    std::uint64_t number = 0, value = 0;
    bool is_number = false;
    Message bytes{nullptr, nullptr};

    const Message& message() const {
        if (is_number) {
            throw MalformedModel("a number where a message belongs");
        }
        return bytes;
    }
};

void for_each(Message message, const std::function<void(const Field&)>& seen) {
    while (message.at != message.end) {
        const std::uint64_t tag = varint(message);
        Field field;
        field.number = tag >> 3;
        if (field.number == 0 || tag >> 32 != 0) {
            throw MalformedModel("field number " + std::to_string(field.number));
        }
        const std::uint64_t type = tag & 7U;
        if (type == 0) {
            field.is_number = true;
            field.value = varint(message);
        } else {
            if (type != 1 && type != 2 && type != 5) {
                throw MalformedModel("wire type " + std::to_string(type));
            }
            const std::uint64_t length = type == 2 ? varint(message) : type == 1 ? 8 : 4;
            if (length > static_cast<std::uint64_t>(message.end - message.at)) {
                throw MalformedModel("ends within a field");
            }
            field.bytes = {message.at, message.at + length};
            message.at += length;
        }
        seen(field);
    }
}

class Scan {
public:
    std::vector<std::string> faults;

    void model(const Message& message) {
        int graphs = 0;
        for_each(message, [&](const Field& field) {
            if (field.number == kGraph) {
                ++graphs;
                graph(field.message());
            }
            add(field.number == kTraining, "holds a training graph");
            add(field.number == kFunctions, "holds model-local functions; inline them");
        });
        add(graphs == 0, "holds no graph");
    }

    void add(bool found, const std::string& fault) {
        if (found && std::find(faults.begin(), faults.end(), fault) == faults.end()) {
            faults.push_back(fault);
        }
    }

private:
    void graph(const Message& message) {
        for_each(message, [&](const Field& field) {
            if (field.number == kNode) {
                node(field.message());
            } else if (field.number == kInitializer) {
                tensor(field.message());
            }
            add(field.number == kSparseInitializer, "holds a sparse tensor");
        });
    }

    void node(const Message& message) {
        std::string domain, name;
        for_each(message, [&](const Field& field) {
            if (field.number == kDomain) {
                domain = field.message().text();
            } else if (field.number == kOperator) {
                name = field.message().text();
            } else if (field.number == kAttribute) {
                attribute(field.message());
            }
        });
        if (domain.empty() || domain == "ai.onnx") {
            add(operators_control_flow.count(name) != 0, "holds control flow (" + name + ")");
            add(operators_random.count(name) != 0, "draws random numbers (" + name + "); make them an input");
        } else {
            add(domain != "com.microsoft" || operators_microsoft.count(name) == 0,
                "uses the operator " + domain + "::" + name + ", which is not allowed");
        }
    }

    void attribute(const Message& message) {
        for_each(message, [&](const Field& field) {
            if (field.number == kTensor || field.number == kTensors) {
                tensor(field.message());
            }
            add(field.number == kSubgraph || field.number == kSubgraphs, "holds a subgraph in an attribute");
            add(field.number == kSparse || field.number == kSparses, "holds a sparse tensor");
        });
    }

    void tensor(const Message& message) {
        for_each(message, [&](const Field& field) {
            const bool elsewhere = field.number == kDataLocation && !(field.is_number && field.value == 0);
            add(field.number == kExternalData || elsewhere, "keeps tensors in another file (external data)");
        });
    }
};

}  // namespace

std::vector<std::string> scan_model(const std::vector<unsigned char>& model) {
    const std::string own = "ORTM";
    if (model.size() >= 8 && std::equal(own.begin(), own.end(), model.begin() + 4)) {
        return {"is in onnxruntime's own format"};
    }
    Scan scan;
    try {
        scan.model({model.data(), model.data() + model.size()});
    } catch (const MalformedModel& error) {
        scan.add(true, std::string("is not a valid ONNX model (") + error.what() + ")");
    }
    return scan.faults;
}

}  // namespace cldm
