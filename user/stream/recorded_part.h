// Part of a stream as one record tells it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace twinlog {

// Its first bytes, borrowed from the record; the others up to `length` are missing.
struct RecordedPart {
    std::uint64_t position;
    std::string_view bytes;
    std::uint64_t length;

    // A record cannot have more bytes than its write or read had.
    RecordedPart(std::uint64_t at, std::string_view captured, std::uint64_t whole)
        : position(at), bytes(captured.substr(0, whole)), length(whole) {}

    void drop_front(std::uint64_t count) {
        count = std::min(count, length);
        position += count;
        length -= count;
        bytes.remove_prefix(std::min<std::uint64_t>(count, bytes.size()));
    }
    // Leaves what was not handed on yet: a former daemon may have done so, or the other end.
    void drop_before(std::uint64_t next) {
        if (position < next) drop_front(next - position);
    }
};

}  // namespace twinlog
