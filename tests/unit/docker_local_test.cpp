// Docker's `local` frames: the bytes that dockerd writes, and whatever else may be in a file.
#include "format/docker_local.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace twinlog;
using docker_local::decode;
using docker_local::Frame;
using docker_local::FrameState;

namespace {

constexpr std::int64_t golden_time = 1795478628774271306;
const std::string golden_time_bytes = "\x10\xca\xb2\x95\xef\xcc\xc9\xb4\xf5\x18";
const std::string partial_id(64, 'a');

std::string encode(const Entry& entry) {
    std::string bytes;
    docker_local::append(entry, bytes);
    return bytes;
}

// What stands before and after a message of this size.
std::string length(std::size_t size) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
    return bytes;
}

std::string framed(const std::string& message) {
    return length(message.size()) + message + length(message.size());
}

Entry entry_of(std::string_view line, Source source = Source::stdout_) {
    Entry entry;
    entry.source = source;
    entry.time_ns = golden_time;
    entry.line = line;
    return entry;
}

Entry full_entry(std::string_view line) {
    Entry entry = entry_of(line, Source::stderr_);
    entry.partial = Partial{partial_id, 3, true};
    entry.run = 7;
    entry.position = 123456789012;
    entry.writer = Writer{4711, 4712, "worker", 17};
    return entry;
}

}  // namespace

TEST_CASE("local: frames are byte for byte what dockerd writes", "[docker_local]") {
    using namespace std::string_literals;
    CHECK(encode(entry_of("err", Source::stderr_)) ==
          "\0\0\0\x17\x0a\x06stderr"s + golden_time_bytes + "\x1a\x03" + "err" + "\0\0\0\x17"s);
    CHECK(encode(entry_of("")) == "\0\0\0\x12\x0a\x06stdout"s + golden_time_bytes + "\0\0\0\x12"s);
    CHECK(encode(entry_of("a\0b\xff\x01"s)) == "\0\0\0\x19\x0a\x06stdout"s + golden_time_bytes +
                                                   "\x1a\x05" + "a\0b\xff\x01"s + "\0\0\0\x19"s);

    const std::string piece(16384, 'x');
    Entry first = entry_of(piece);
    first.partial = Partial{partial_id, 1, false};
    CHECK(encode(first) == "\0\0\x40\x5e\x0a\x06stdout"s + golden_time_bytes + "\x1a\x80\x80\x01" +
                               piece + "\x20\x01\x2a\x44\x12\x40" + partial_id + "\x18\x01" +
                               "\0\0\x40\x5e"s);
    Entry last = entry_of("");
    last.partial = Partial{partial_id, 2, true};
    CHECK(encode(last) == "\0\0\0\x5c\x0a\x06stdout"s + golden_time_bytes +
                              "\x20\x01\x2a\x46\x08\x01\x12\x40" + partial_id + "\x18\x02" +
                              "\0\0\0\x5c"s);
    Entry tail = entry_of("tail");
    tail.partial = Partial{partial_id, 1, false};
    CHECK(encode(tail) == "\0\0\0\x60\x0a\x06stdout"s + golden_time_bytes + "\x1a\x04" + "tail" +
                              "\x20\x01\x2a\x44\x12\x40" + partial_id + "\x18\x01" + "\0\0\0\x60"s);
}

TEST_CASE("local: twinlog's facts are fields that Docker skips", "[docker_local]") {
    using namespace std::string_literals;
    Entry entry = entry_of("x");
    entry.run = 1;
    entry.writer = Writer{5, 6, "sh", 7};
    // 1001 varint: 0xc8 0x3e; 1002 bytes: 0xd2 0x3e. A position of 0 takes no room.
    CHECK(encode(entry) ==
          framed("\x0a\x06stdout" + golden_time_bytes + "\x1a\x01x" + "\xc8\x3e\x01" +
                 "\xd2\x3e\x0a\x08\x05\x10\x06\x1a\x02sh\x20\x07"));

    Entry gap = entry_of("", Source::stderr_);
    gap.position = 9;
    gap.gap = Gap{300, GapReason::store};
    // 1000 varint: 0xc0 0x3e; 1003 bytes: 0xda 0x3e.
    CHECK(encode(gap) == framed("\x0a\x0agap-stderr" + golden_time_bytes + "\xc0\x3e\x09" +
                                "\xda\x3e\x05\x08\xac\x02\x10\x04"));
}

TEST_CASE("local: what is encoded is decoded again", "[docker_local]") {
    std::mt19937_64 random(20261124);  // NOLINT(cert-msc51-cpp): the same entries each time
    const auto number = [&random](std::uint64_t most) {
        return std::uniform_int_distribution<std::uint64_t>(0, most)(random);
    };
    const auto text = [&](std::size_t size) {
        std::string bytes(size, '\0');
        for (char& byte : bytes) byte = static_cast<char>(number(255));
        return bytes;
    };
    std::string stored;
    std::vector<std::string> texts;
    texts.reserve(10000);
    std::vector<Entry> entries;
    for (int i = 0; i < 2000; ++i) {
        Entry entry;
        entry.source = number(1) != 0 ? Source::stderr_ : Source::stdout_;
        entry.time_ns =
            static_cast<std::int64_t>(number(std::numeric_limits<std::uint64_t>::max()));
        entry.run = static_cast<std::uint32_t>(number(3));
        entry.position = number(1) != 0 ? number(std::numeric_limits<std::uint64_t>::max()) : 0;
        if (number(9) == 0) {
            entry.gap = Gap{number(1U << 20U), static_cast<GapReason>(1 + number(3))};
        } else {
            entry.line = texts.emplace_back(text(number(number(20) == 0 ? 20000 : 200)));
            if (number(1) != 0) {
                entry.writer = Writer{static_cast<std::uint32_t>(number(1U << 22U)),
                                      static_cast<std::uint32_t>(number(1U << 22U)),
                                      texts.emplace_back(text(number(15)))};
            }
            if (number(3) == 0) {
                entry.partial = Partial{texts.emplace_back(text(64)),
                                        static_cast<std::int32_t>(number(1000)), number(1) != 0};
            }
        }
        entries.push_back(entry);
        docker_local::append(entry, stored);
    }
    std::string_view rest = stored;
    for (const Entry& entry : entries) {
        const Frame frame = decode(rest);
        REQUIRE(frame.state == FrameState::whole);
        REQUIRE(frame.known_source);
        REQUIRE(frame.entry == entry);
        REQUIRE(docker_local::frame_size_from_trailer(
                    rest.substr(frame.size - docker_local::length_size)) == frame.size);
        rest.remove_prefix(frame.size);
    }
    CHECK(rest.empty());
}

TEST_CASE("local: a torn frame asks for more at every byte, and begins one", "[docker_local]") {
    for (const Entry& entry : {entry_of("hello"), entry_of(""), full_entry("some text")}) {
        const std::string bytes = encode(entry);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            INFO(size);
            // A copy, so that a sanitizer sees a read behind its end.
            const std::string torn = bytes.substr(0, size);
            const Frame frame = decode(torn);
            CHECK(frame.state == FrameState::need_more);
            CHECK(frame.size == (size < 4 ? docker_local::frame_overhead : bytes.size()));
            CHECK(docker_local::begins_frame(torn));
        }
        CHECK_FALSE(docker_local::begins_frame(bytes));
    }
}

TEST_CASE("local: a length that lies is not taken for a torn frame", "[docker_local]") {
    std::string bytes = encode(full_entry("some text"));
    bytes[2] = '\x7f';  // claims 32 KiB more
    CHECK(decode(bytes).state == FrameState::need_more);
    CHECK_FALSE(docker_local::begins_frame(bytes));
    CHECK_FALSE(docker_local::begins_frame(bytes + encode(entry_of("next"))));
    CHECK_FALSE(docker_local::begins_frame("\xff"));
    CHECK_FALSE(docker_local::begins_frame(length(docker_local::max_message + 1)));
    CHECK_FALSE(docker_local::begins_frame(length(0)));
    // The line claims more than the message has.
    CHECK_FALSE(docker_local::begins_frame(length(20) + "\x1a\x13line"));
    CHECK(docker_local::begins_frame(length(20) + "\x1a\x12line"));
}

TEST_CASE("local: impossible frames are damaged", "[docker_local]") {
    CHECK(decode(length(0) + length(0)).state == FrameState::damaged);
    CHECK(decode(length(docker_local::max_message + 1)).state == FrameState::damaged);
    CHECK(decode(length(docker_local::max_message)).state == FrameState::need_more);
    CHECK(decode("\xff\xff\xff\xff").state == FrameState::damaged);

    std::string trailer = encode(entry_of("text"));
    trailer.back() ^= 1;
    CHECK(decode(trailer).state == FrameState::damaged);

    CHECK(decode(framed("\x0a\x7fstdout")).state == FrameState::damaged);  // length beyond the end
    CHECK(decode(framed("\x10\xff\xff")).state == FrameState::damaged);    // unended varint
    CHECK(decode(framed("\x10" + std::string(11, '\xff') + '\1')).state == FrameState::damaged);
    CHECK(decode(framed(std::string("\x00\x01", 2))).state == FrameState::damaged);  // field 0
    CHECK(decode(framed("\x0f\x01")).state == FrameState::damaged);          // no such wire type
    CHECK(decode(framed("\x09\x01")).state == FrameState::damaged);          // 8 bytes, 1 there
    CHECK(decode(framed("\x2a\x02\x12\x40")).state == FrameState::damaged);  // inside a message
    CHECK(decode(framed("\xd2\x3e\x02\x1a\x40")).state == FrameState::damaged);
    CHECK(decode(framed("\xda\x3e\x01\x08")).state == FrameState::damaged);

    for (const std::size_t size : {std::size_t{0}, docker_local::max_message + 1}) {
        CHECK(docker_local::frame_size_from_trailer(length(size)) == 0);
    }
    CHECK(docker_local::frame_size_from_trailer("abc") == 0);
}

TEST_CASE("local: fields and sources of others are tolerated", "[docker_local]") {
    const std::string others =
        std::string("\x32\x06\x0a\x01k\x12\x01v") +          // attrs of newer dockerds
        "\x38\x05" + "\x41" + "12345678" + "\x4d" + "1234";  // 7 varint, 8 fixed64, 9 fixed32
    const std::string stored = framed("\x0a\x06stdout" + others + "\x1a\x02hi");
    const Frame frame = decode(stored);
    REQUIRE(frame.state == FrameState::whole);
    CHECK(frame.known_source);
    CHECK(frame.entry.line == "hi");
    CHECK_FALSE(frame.entry.partial);
    CHECK_FALSE(frame.entry.writer);
    CHECK(frame.entry.run == 0);

    for (const std::string message : {"\x0a\x05other\x1a\x02hi", "\x1a\x02hi", "\x0a\x0agap-stdout",
                                      "\x0a\x06stdout\xda\x3e\x02\x08\x05"}) {
        const std::string bytes = framed(message);
        const Frame unknown = decode(bytes);
        CHECK(unknown.state == FrameState::whole);
        CHECK_FALSE(unknown.known_source);
    }
}

TEST_CASE("local: a gap reason of a later version stays unknown", "[docker_local]") {
    const std::string bytes = framed("\x0a\x0agap-stdout\xda\x3e\x05\x08\x05\x10\x81\x02");  // 257
    const Frame frame = decode(bytes);
    REQUIRE(frame.state == FrameState::whole);
    REQUIRE(frame.entry.gap);
    CHECK(gap_reason_text(frame.entry.gap->reason) == "unknown reason");
}

TEST_CASE("local: frames forged inside a line are text", "[docker_local]") {
    const std::string forged = encode(entry_of("forged")) + encode(entry_of("forged"));
    const std::string bytes = encode(entry_of(forged)) + encode(entry_of("next"));
    const Frame frame = decode(bytes);
    REQUIRE(frame.state == FrameState::whole);
    CHECK(frame.entry.line == forged);
    const std::string_view rest = std::string_view(bytes).substr(frame.size);
    CHECK(decode(rest).entry.line == "next");
    // Also a torn one, whose end looks like the end of a frame.
    CHECK(docker_local::begins_frame(encode(entry_of(forged)).substr(0, 24 + forged.size() / 2)));
}

TEST_CASE("local: flipped bits never lead outside the bytes that are there", "[docker_local]") {
    const std::string good = encode(full_entry("some text that is long enough to matter"));
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            std::string bad = good;
            bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ 1U << bit);
            const Frame frame = decode(bad);
            if (frame.state == FrameState::whole) CHECK(frame.size == bad.size());
            static_cast<void>(docker_local::begins_frame(bad));
            const std::string_view line = frame.entry.line;
            if (!line.empty()) {
                CHECK(line.data() >= bad.data());
                CHECK(line.data() + line.size() <= bad.data() + bad.size());
            }
        }
    }
    std::mt19937 random(4);  // NOLINT(cert-msc51-cpp): the same bytes each time
    for (int i = 0; i < 20000; ++i) {
        std::string message(random() % 64, '\0');
        for (char& byte : message) byte = static_cast<char>(random());
        const std::string bytes = framed(message);
        const Frame frame = decode(bytes);
        CHECK(frame.state != FrameState::need_more);
    }
}
