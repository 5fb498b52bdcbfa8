// A hash that is the same on every machine and in every run: for names and for torn writes.
#pragma once

#include <cstdint>
#include <string_view>

namespace twinlog {

// FNV-1a, 64 bits (draft-eastlake-fnv). Not for hostile input where a collision would do harm.
constexpr std::uint64_t fnv1a(std::string_view bytes) {
    std::uint64_t value = 0xcbf29ce484222325ULL;
    for (const char byte : bytes) {
        value ^= static_cast<unsigned char>(byte);
        value *= 0x100000001b3ULL;
    }
    return value;
}

}  // namespace twinlog
