// One stream between records and lines: what a former daemon has done, copies out of pipes, counts.
#include "daemon/stream_recorder.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <string_view>

using namespace twinlog;

namespace {

// "line" for a whole one, "line>" for a piece that does not end, "[3]" for a gap; one space
// between.
struct Lines : EntrySink {
    void on_entry(const Entry& entry) override {
        if (!text.empty()) text += ' ';
        if (entry.gap) {
            text += '[' + std::to_string(entry.gap->bytes) + ']';
            return;
        }
        text += entry.line;
        if (entry.partial && !entry.partial->last) text += '>';
        if (entry.writer) comm = entry.writer->comm;
    }
    std::string text;
    std::string comm;
};

tw_file file_of(tw_file_kind kind) {
    tw_file file{};
    file.kind = static_cast<u8>(kind);
    return file;
}

struct Fed {
    explicit Fed(tw_file_kind kind)
        : recorder(file_of(kind), true, Source::stdout_, 1, lines, counters) {}

    void record(tw_record_type type, std::uint64_t position, std::string_view bytes,
                std::uint32_t missing = 0) {
        tw_data head{};
        head.type = static_cast<u16>(type);
        head.reason = TW_REASON_FAULT;
        head.position = position;
        head.time = 1000;
        head.captured = static_cast<u32>(bytes.size());
        head.length = head.captured + missing;
        head.pid = 5;
        // As the kernel leaves it: without an end where it is as long as it may be.
        std::memcpy(head.comm, "sixteen bytes ab", sizeof(head.comm));
        recorder.record(head, bytes);
    }
    void write(std::uint64_t position, std::string_view bytes) { record(TW_DATA, position, bytes); }

    Lines lines;
    StreamCounters counters;
    StreamRecorder recorder;
};

// A line that had begun at that position.
LineSplitter::State begun_at(std::uint64_t position, const std::string& line) {
    LineSplitter::State state;
    state.position = position;
    state.line = line;
    return state;
}

}  // namespace

TEST_CASE("a stream goes on with the line that a former daemon saw begin") {
    Fed fed(TW_KIND_FILE);
    fed.recorder.resume(10, 15, begun_at(10, "begun"));
    fed.write(15, " ended\n");
    CHECK(fed.lines.text == "begun ended");
}

TEST_CASE("a stream does not go on with a line that is in the log by now") {
    Fed fed(TW_KIND_FILE);
    // Killed between the log and the checkpoint.
    fed.recorder.resume(22, 15, begun_at(10, "begun"));
    fed.write(15, " ended\n");
    fed.write(22, "next\n");
    CHECK(fed.lines.text == "next");
}

TEST_CASE("a stream does not begin again what was rotated out of the log") {
    Fed fed(TW_KIND_FILE);
    fed.recorder.resume(0, 10, {});
    fed.write(0, "old\n");
    fed.write(4, "older\n");
    fed.write(10, "new\n");
    CHECK(fed.lines.text == "new");
}

TEST_CASE("a line that a gap followed is not gone on with") {
    Fed fed(TW_KIND_FILE);
    fed.recorder.resume(10, 18, begun_at(10, "begun"));
    fed.write(18, "next\n");
    CHECK(fed.lines.text == "next");
}

TEST_CASE("what is written, missing and skipped is counted apart") {
    Fed fed(TW_KIND_FILE);
    fed.write(0, "four");
    fed.record(TW_DATA, 4, "", 3);
    fed.recorder.skip({.written = 9});
    CHECK(fed.lines.text == "four> [3] [2]");
    CHECK(fed.counters.bytes == 9);
    CHECK(fed.counters.lost == 3);
    CHECK(fed.counters.gaps == 1);
    CHECK(fed.counters.skipped == 2);
    CHECK(fed.counters.last_write_ns == wall_time(1000));
    CHECK(fed.lines.comm == "sixteen bytes ab");
}

TEST_CASE("a copy out of a pipe counts while nobody has read since") {
    Fed fed(TW_KIND_PIPE);
    const StreamEnds looked{.written = 8, .read = 0, .unread = 8};
    CHECK(fed.recorder.wants_peek(looked));
    CHECK_FALSE(fed.recorder.wants_peek({.written = 8, .read = 8, .unread = 0}));
    CHECK_FALSE(fed.recorder.wants_peek({.written = 8, .read = 8}));
    // What was read and not recorded yet comes first.
    CHECK_FALSE(fed.recorder.wants_peek({.written = 8, .read = 2, .unread = 6}));
    // Of what has gone on already nothing is left to be copied.
    Fed later(TW_KIND_PIPE);
    later.recorder.resume(8, 8, {});
    CHECK_FALSE(later.recorder.wants_peek(looked));
    CHECK(later.recorder.wants_peek({.written = 9, .read = 0, .unread = 9}));
    fed.write(0, "12345678");
    fed.recorder.peeked(looked, "12345678", 2000);
    SECTION("nobody has") {
        fed.recorder.confirm_peek(looked);
        fed.recorder.settle({.written = 8});
        fed.recorder.end(looked);
        CHECK(fed.lines.text == "12345678>");
    }
    SECTION("somebody has, and brings other bytes") {
        fed.recorder.confirm_peek({.written = 8, .read = 4, .unread = 4});
        fed.record(TW_READ, 0, "abcd");
        fed.recorder.settle({.written = 8, .read = 4});
        fed.recorder.end({.written = 8, .read = 4, .unread = 4});
        CHECK(fed.lines.text == "abcd5678>");
    }
}
