// The few pieces of the protobuf wire format that log entries need: written without an allocation,
// read with every length checked. Source: protobuf.dev/programming-guides/encoding.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace twinlog::protobuf {

enum WireType : std::uint32_t {
    wire_varint = 0,
    wire_fixed64 = 1,
    wire_bytes = 2,
    wire_fixed32 = 5
};

// What is put goes to a std::string, or to a Fixed, which does not look whether there is room.

// At most `size` bytes, which whoever puts something in has counted.
template <std::size_t size>
class Fixed {
 public:
    Fixed& operator+=(char byte) {
        bytes_[used_++] = byte;
        return *this;
    }
    Fixed& operator+=(std::string_view bytes) {
        // Not memcpy: an empty view may point nowhere.
        std::copy(bytes.begin(), bytes.end(), bytes_.begin() + used_);
        used_ += bytes.size();
        return *this;
    }
    [[nodiscard]] std::size_t used() const { return used_; }
    [[nodiscard]] char* data() { return bytes_.data(); }
    [[nodiscard]] std::string_view view() const { return {bytes_.data(), used_}; }

 private:
    std::array<char, size> bytes_;
    std::size_t used_ = 0;
};

template <class Out>
void put_varint(Out& out, std::uint64_t value) {
    while (value >= 0x80) {
        out += static_cast<char>(value | 0x80U);
        value >>= 7U;
    }
    out += static_cast<char>(value);
}

template <class Out>
void put_number(Out& out, std::uint32_t field, std::uint64_t value) {
    put_varint(out, field << 3U | wire_varint);
    put_varint(out, value);
}

template <class Out>
void put_bytes(Out& out, std::uint32_t field, std::string_view bytes) {
    put_varint(out, field << 3U | wire_bytes);
    put_varint(out, bytes.size());
    out += bytes;
}

inline std::size_t varint_size(std::uint64_t value) {
    std::size_t size = 1;
    while (value >= 0x80) {
        value >>= 7U;
        ++size;
    }
    return size;
}

inline std::size_t number_size(std::uint32_t field, std::uint64_t value) {
    return varint_size(field << 3U) + varint_size(value);
}

inline std::size_t bytes_size(std::uint32_t field, std::size_t length) {
    return varint_size(field << 3U) + varint_size(length) + length;
}

constexpr std::uint64_t tag_of(std::uint32_t field, WireType wire) {
    return static_cast<std::uint64_t>(field) << 3U | wire;
}

// One field after the other.
class Fields {
 public:
    // missing: how many bytes of the message come after those that are there.
    explicit Fields(std::string_view message, std::size_t missing = 0)
        : rest_(message), missing_(missing) {}

    // False at the end or at something that is no field; then failed() tells which.
    bool next() {
        if (rest_.empty() || failed_) return false;
        const char* const begin = rest_.data();
        const auto tag = take_varint();
        if (!tag || *tag >> 3U == 0 || *tag >> 3U > std::numeric_limits<std::uint32_t>::max()) {
            return fail();
        }
        field_ = static_cast<std::uint32_t>(*tag >> 3U);
        wire_ = static_cast<std::uint32_t>(*tag & 7U);
        number_ = 0;
        bytes_ = {};
        if (!take_value()) return fail();
        whole_ = {begin, static_cast<std::size_t>(rest_.data() - begin)};
        return true;
    }

    [[nodiscard]] bool failed() const { return failed_; }
    // It failed for no other reason than the bytes that are missing.
    [[nodiscard]] bool ran_out() const { return ran_out_; }
    // Field and wire type in one, as tag_of() makes it.
    [[nodiscard]] std::uint64_t tag() const {
        return static_cast<std::uint64_t>(field_) << 3U | wire_;
    }
    [[nodiscard]] bool is_number(std::uint32_t field) const {
        return field_ == field && wire_ == wire_varint;
    }
    [[nodiscard]] bool is_bytes(std::uint32_t field) const {
        return field_ == field && wire_ == wire_bytes;
    }
    [[nodiscard]] std::uint64_t number() const { return number_; }
    [[nodiscard]] std::string_view bytes() const { return bytes_; }
    // The field with its tag.
    [[nodiscard]] std::string_view whole() const { return whole_; }

 private:
    bool fail() {
        failed_ = true;
        return false;
    }

    bool take_value() {
        switch (wire_) {
            case wire_varint: {
                const auto value = take_varint();
                number_ = value.value_or(0);
                return value.has_value();
            }
            case wire_bytes: {
                const auto size = take_varint();
                return size && take(*size);
            }
            case wire_fixed64:
                return take(8);
            case wire_fixed32:
                return take(4);
            default:
                return false;
        }
    }

    bool take(std::uint64_t size) {
        if (size > rest_.size()) {
            ran_out_ = size - rest_.size() <= missing_;
            return false;
        }
        bytes_ = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
    }

    std::optional<std::uint64_t> take_varint() {
        const char* const begin = rest_.data();
        // Tags, lengths and most numbers have one byte.
        if (!rest_.empty() && static_cast<unsigned char>(*begin) < 0x80) {
            rest_.remove_prefix(1);
            return static_cast<unsigned char>(*begin);
        }
        constexpr std::size_t longest = 10;
        const std::size_t most = std::min(longest, rest_.size());
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < most; ++i) {
            const auto byte = static_cast<unsigned char>(begin[i]);
            const std::size_t shift = 7 * i;
            value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
            if (byte < 0x80) {
                rest_.remove_prefix(i + 1);
                return value;
            }
        }
        rest_.remove_prefix(most);
        ran_out_ = rest_.empty() && missing_ > 0;
        return std::nullopt;
    }

    std::string_view rest_;
    std::size_t missing_;
    bool failed_ = false;
    bool ran_out_ = false;
    std::uint32_t field_ = 0;
    std::uint32_t wire_ = 0;
    std::uint64_t number_ = 0;
    std::string_view bytes_;
    std::string_view whole_;
};

}  // namespace twinlog::protobuf
