// Packing of Docker's attributes.
#include "format/attributes.h"

#include "format/protobuf.h"

namespace twinlog {

namespace {

constexpr std::uint32_t field_attributes = 6;  // of LogEntry
constexpr std::uint32_t field_key = 1;         // of LogAttr
constexpr std::uint32_t field_value = 2;

}  // namespace

std::string pack_attributes(const std::map<std::string, std::string>& attributes) {
    std::string packed;
    for (const auto& [key, value] : attributes) {
        std::string attribute;
        if (!key.empty()) protobuf::put_bytes(attribute, field_key, key);
        if (!value.empty()) protobuf::put_bytes(attribute, field_value, value);
        protobuf::put_bytes(packed, field_attributes, attribute);
    }
    return packed;
}

std::map<std::string, std::string> unpack_attributes(std::string_view packed) {
    std::map<std::string, std::string> attributes;
    protobuf::Fields fields(packed);
    while (fields.next()) {
        if (!fields.is_bytes(field_attributes)) continue;
        std::string key;
        std::string value;
        protobuf::Fields inner(fields.bytes());
        while (inner.next()) {
            if (inner.is_bytes(field_key)) key = inner.bytes();
            if (inner.is_bytes(field_value)) value = inner.bytes();
        }
        attributes.emplace(std::move(key), std::move(value));
    }
    return attributes;
}

}  // namespace twinlog
