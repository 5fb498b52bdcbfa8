// When a stream is given up: never while somebody may still write to it.
#include "daemon/stream_over.h"

#include <catch2/catch.hpp>

using namespace twinlog;

namespace {

constexpr std::uint32_t slot = 3;
constexpr std::uint64_t stream = 7;

tw_file file_of(std::uint8_t kind) {
    tw_file file{};
    file.kind = kind;
    file.slot = slot;
    file.stream = stream;
    return file;
}

StreamsLook look_at(std::uint32_t flags, const StreamEnds& ends) {
    StreamsLook look;
    if (flags != 0) {
        tw_held held{};
        held.stream = stream;
        held.flags = flags;
        look.holders.emplace(slot, held);
    }
    look.ends.emplace(slot, ends);
    return look;
}

constexpr StreamEnds all_read{.written = 10, .read = 10, .at_end = false, .unread = 0};
constexpr StreamEnds more_read{.written = 20, .read = 20, .at_end = false, .unread = 0};

}  // namespace

TEST_CASE("stream over: a holder that one look has missed", "[stream_over]") {
    const tw_file file = file_of(TW_KIND_PIPE);
    StreamOver over;
    REQUIRE_FALSE(over.after(file, look_at(TW_HOLDS_TO_READ, all_read)));
    REQUIRE_FALSE(over.after(file, look_at(TW_HOLDS_TO_WRITE | TW_HOLDS_TO_READ, all_read)));
    // The look before that one does not count any more.
    REQUIRE_FALSE(over.after(file, look_at(TW_HOLDS_TO_READ, all_read)));
    REQUIRE(over.after(file, look_at(TW_HOLDS_TO_READ, all_read)));
}

TEST_CASE("stream over: a holder that two looks have missed has written", "[stream_over]") {
    const tw_file file = file_of(TW_KIND_PIPE);
    StreamOver over;
    REQUIRE_FALSE(over.after(file, look_at(TW_HOLDS_TO_READ, all_read)));
    REQUIRE_FALSE(over.after(file, look_at(TW_HOLDS_TO_READ, more_read)));
    REQUIRE(over.after(file, look_at(TW_HOLDS_TO_READ, more_read)));
}

TEST_CASE("stream over: nobody has it open", "[stream_over]") {
    const tw_file file = file_of(GENERATE(TW_KIND_PIPE, TW_KIND_PTY, TW_KIND_FILE, TW_KIND_SOCKET));
    StreamOver over;
    const StreamEnds ends{.written = 10, .read = 0, .at_end = false, .unread = {}};
    REQUIRE_FALSE(over.after(file, look_at(0, ends)));
    REQUIRE(over.after(file, look_at(0, ends)));
}

TEST_CASE("stream over: the kernel told its reader so", "[stream_over]") {
    const tw_file file = file_of(GENERATE(TW_KIND_PIPE, TW_KIND_PTY));
    const StreamEnds ends{.written = 10, .read = 10, .at_end = true, .unread = 0};
    REQUIRE(StreamOver().after(file, look_at(TW_HOLDS_TO_READ, ends)));
    REQUIRE_FALSE(StreamOver().after(file, look_at(TW_HOLDS_TO_WRITE, ends)));
}

TEST_CASE("stream over: what was not read is waited for", "[stream_over]") {
    const tw_file file = file_of(TW_KIND_PIPE);
    const StreamEnds unread{.written = 10, .read = 4, .at_end = false, .unread = 6};
    const StreamEnds being_read{.written = 10, .read = 4, .at_end = false, .unread = 0};
    StreamOver over;
    for (int look = 0; look < 3; ++look) {
        REQUIRE_FALSE(over.after(file, look_at(TW_HOLDS_TO_READ, unread)));
    }
    REQUIRE_FALSE(over.after(file, look_at(TW_HOLDS_TO_READ, being_read)));
    REQUIRE_FALSE(over.after(file, look_at(TW_HOLDS_TO_READ, all_read)));
    REQUIRE(over.after(file, look_at(TW_HOLDS_TO_READ, all_read)));
}

TEST_CASE("stream over: a look that was not complete tells nothing", "[stream_over]") {
    const tw_file file = file_of(TW_KIND_FILE);
    StreamsLook cut = look_at(0, all_read);
    cut.complete = false;
    StreamOver over;
    REQUIRE_FALSE(over.after(file, look_at(0, all_read)));
    REQUIRE_FALSE(over.after(file, cut));
    REQUIRE_FALSE(over.after(file, look_at(0, all_read)));
    REQUIRE(over.after(file, look_at(0, all_read)));
}
