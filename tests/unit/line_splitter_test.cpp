// The splitter against a naive model of what Docker's copier makes of a stream, however its bytes
// arrive.
#include "stream/line_splitter.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace twinlog;

namespace {

// An entry that owns its texts. The partial's id is replaced by the number of its line, from 1.
struct Kept {
    std::string line;
    std::uint64_t position = 0;
    std::int64_t time = 0;
    std::uint32_t pid = 0;
    std::string comm;
    int cut_line = 0;  // 0: not a piece
    int ordinal = 0;
    bool last = false;
    std::uint64_t gap = 0;

    bool operator==(const Kept&) const = default;
};

struct Collector : EntrySink {
    void on_entry(const Entry& entry) override {
        if (entry.source != Source::stderr_ || entry.run != 7) wrong = "source or run";
        Kept kept{
            .line = std::string(entry.line), .position = entry.position, .time = entry.time_ns};
        if (entry.writer) {
            kept.pid = entry.writer->pid;
            kept.comm = entry.writer->comm;
        }
        if (entry.gap) kept.gap = entry.gap->bytes;
        if (entry.gap && entry.gap->reason != GapReason::fault) wrong = "reason of a gap";
        if (entry.partial) {
            const std::string id(entry.partial->id);
            if (entry.partial->ordinal == 1) {
                if (id.size() != 64 || id.find_first_not_of("0123456789abcdef") != id.npos) {
                    wrong = "id " + id;
                }
                if (!ids.insert(id).second) wrong = "an id that was used before";
                last_id = id;
                ++cut_lines;
            } else if (id != last_id) {
                wrong = "another id within a line";
            }
            kept.cut_line = cut_lines;
            kept.ordinal = entry.partial->ordinal;
            kept.last = entry.partial->last;
        }
        entries.push_back(std::move(kept));
    }

    std::vector<Kept> entries;
    std::string wrong;
    std::set<std::string> ids;
    std::string last_id;
    int cut_lines = 0;
};

// "text" a line, "text>2" the second piece of one, "text.3" its third and last, "[5]" a gap.
std::string story(const Collector& collected) {
    std::string out;
    for (const Kept& entry : collected.entries) {
        if (!out.empty()) out += ' ';
        if (entry.gap > 0) {
            out += '[' + std::to_string(entry.gap) + ']';
            continue;
        }
        out += entry.line.size() > 100 ? std::to_string(entry.line.size()) : entry.line;
        if (entry.ordinal > 0) out += (entry.last ? '.' : '>') + std::to_string(entry.ordinal);
    }
    CHECK(collected.wrong.empty());
    return out;
}

struct Fed {
    void bytes(std::string_view text) {
        const std::string comm = "call " + std::to_string(++calls);
        splitter->bytes(position, text, calls, Writer{calls, calls, comm, calls});
        position += text.size();
    }
    void gap(std::uint64_t length) {
        splitter->gap(position, Gap{length, GapReason::fault}, ++calls);
        position += length;
    }
    // Another splitter goes on, which knows no more than the state of this one.
    void replace() {
        LineSplitter::State state = splitter->state();
        CHECK(splitter->in_a_line() == (!state.line.empty() || !state.partial_id.empty()));
        splitter.emplace(out, Source::stderr_, 7);
        splitter->resume(std::move(state));
    }

    Collector out;
    std::optional<LineSplitter> splitter{std::in_place, out, Source::stderr_, 7};
    std::uint64_t position = 0;
    std::uint32_t calls = 0;
};

}  // namespace

TEST_CASE("lines end at their newline, which is not stored") {
    Fed stream;
    stream.bytes("one\ntwo\r\n\nfo");
    CHECK(story(stream.out) == "one two\r ");
    CHECK(stream.splitter->pending() == 2);
    stream.bytes("ur");
    stream.bytes("\n");
    CHECK(story(stream.out) == "one two\r  four");
    CHECK(stream.splitter->pending() == 0);
    CHECK(stream.out.entries[3].position == 10);
    // Time and writer are those of the write that ended the line.
    CHECK(stream.out.entries[3].time == 3);
    CHECK(stream.out.entries[3].comm == "call 3");
    stream.splitter->end();
    CHECK(stream.out.entries.size() == 4);
}

TEST_CASE("another splitter goes on in the middle of a line") {
    Fed stream;
    SECTION("that has begun") {
        stream.bytes("on");
        CHECK(stream.splitter->in_a_line());
        stream.replace();
        stream.bytes("e\n");
        CHECK(story(stream.out) == "one");
        CHECK(stream.out.entries[0].position == 0);
    }
    SECTION("that is to end now") {
        stream.bytes("on");
        stream.replace();
        stream.splitter->end();
        CHECK(story(stream.out) == "on>1");
        CHECK(stream.out.entries[0].comm == "call 1");
    }
    SECTION("of which a piece was stored") {
        stream.bytes(std::string(16384, 'x'));
        CHECK(stream.splitter->in_a_line());
        stream.replace();
        stream.bytes("y\n");
        CHECK(story(stream.out) == "16384>1 y.2");
        CHECK(stream.out.entries[1].time == 1);
    }
    SECTION("or between lines") {
        stream.bytes("one\n");
        CHECK_FALSE(stream.splitter->in_a_line());
        stream.replace();
        stream.bytes("two\n");
        CHECK(story(stream.out) == "one two");
    }
}

TEST_CASE("NUL and bytes that are no text are bytes like any other") {
    Fed stream;
    stream.bytes(std::string_view("\0\xff\0\n\0", 5));
    stream.splitter->end();
    REQUIRE(stream.out.entries.size() == 2);
    CHECK(stream.out.entries[0].line == std::string("\0\xff\0", 3));
    CHECK(stream.out.entries[1].line == std::string(1, '\0'));
}

TEST_CASE("a line of 16 KiB and more is stored in pieces") {
    Fed stream;
    const std::size_t length = GENERATE(16383, 16384, 16385, 32767, 32768, 40000);
    stream.bytes(std::string(length, 'x') + "\nafter\n");
    switch (length) {
        case 16383:
            CHECK(story(stream.out) == "16383 after");
            break;
        case 16384:
            CHECK(story(stream.out) == "16384>1 .2 after");
            break;
        case 16385:
            CHECK(story(stream.out) == "16384>1 x.2 after");
            break;
        case 32767:
            CHECK(story(stream.out) == "16384>1 16383.2 after");
            break;
        case 32768:
            CHECK(story(stream.out) == "16384>1 16384>2 .3 after");
            break;
        default:
            CHECK(story(stream.out) == "16384>1 16384>2 7232.3 after");
    }
}

TEST_CASE("all pieces of a line have the first one's time") {
    Fed stream;
    stream.bytes(std::string(16000, 'x'));
    stream.bytes(std::string(1000, 'x'));
    stream.bytes("\n");
    CHECK(story(stream.out) == "16384>1 616.2");
    CHECK(stream.out.entries[0].time == 2);
    CHECK(stream.out.entries[1].time == 2);
    CHECK(stream.out.entries[1].pid == 3);
    CHECK(stream.out.entries[1].position == 16384);
}

TEST_CASE("the last line may lack its newline") {
    Fed stream;
    SECTION("a short one") {
        stream.bytes("one\ntail");
        stream.splitter->end();
        CHECK(story(stream.out) == "one tail>1");
        CHECK(stream.out.entries[1].time == 1);
        CHECK(stream.out.entries[1].comm == "call 1");
    }
    SECTION("exactly two pieces: no third one follows") {
        stream.bytes(std::string(32768, 'x'));
        stream.splitter->end();
        CHECK(story(stream.out) == "16384>1 16384>2");
    }
    SECTION("none at all") {
        stream.splitter->end();
        CHECK(story(stream.out).empty());
    }
    stream.splitter->end();
    CHECK(stream.splitter->pending() == 0);
    stream.bytes("next\n");
    CHECK(stream.out.entries.back().line == "next");
    CHECK(stream.out.entries.back().cut_line == 0);
}

TEST_CASE("a gap ends the line before it and begins one after it") {
    Fed stream;
    SECTION("between lines") {
        stream.bytes("one\n");
        stream.gap(5);
        stream.bytes("two\n");
        CHECK(story(stream.out) == "one [5] two");
        CHECK(stream.out.entries[1].position == 4);
        CHECK(stream.out.entries[1].time == 2);
        CHECK(stream.out.entries[1].pid == 0);
        CHECK(stream.out.entries[2].position == 9);
    }
    SECTION("in a line") {
        stream.bytes("on");
        stream.gap(5);
        stream.bytes("o\n");
        CHECK(story(stream.out) == "on>1 [5] o");
    }
    SECTION("in a cut line") {
        stream.bytes(std::string(16390, 'x'));
        stream.gap(5);
        stream.bytes("x\n");
        CHECK(story(stream.out) == "16384>1 xxxxxx>2 [5] x");
    }
    SECTION("right after a piece") {
        stream.bytes(std::string(16384, 'x'));
        stream.gap(5);
        stream.bytes("\n");
        CHECK(story(stream.out) == "16384>1 [5] ");
        CHECK(stream.out.entries.back().cut_line == 0);
    }
    SECTION("at the end") {
        stream.gap(1);
        stream.gap(2);
        stream.splitter->end();
        CHECK(story(stream.out) == "[1] [2]");
    }
}

// ---- The model ----------------------------------------------------------------------------------

namespace {

// One call of bytes() or gap(), by the positions it covers.
struct Call {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool is_gap = false;
    std::uint32_t number = 0;
};

// A whole stream, looked at from above.
class Model {
 public:
    Model(std::string_view text, const std::vector<Call>& calls) : text_(text), calls_(calls) {}

    std::vector<Kept> entries() {
        std::size_t begin = 0;
        for (const Call& call : calls_) {
            if (!call.is_gap) continue;
            stretch(begin, call.begin);
            entries_.push_back(
                {.position = call.begin, .time = call.number, .gap = call.end - call.begin});
            begin = call.end;
        }
        stretch(begin, text_.size());
        return std::move(entries_);
    }

 private:
    static constexpr std::size_t piece = 16384;

    const Call& call_of(std::size_t position) const {
        for (const Call& call : calls_) {
            if (position < call.end) return call;
        }
        return calls_.back();
    }

    // Bytes without a gap in them; both ends are ends of lines.
    void stretch(std::size_t begin, std::size_t end) {
        while (begin < end) {
            const std::size_t found = text_.substr(0, end).find('\n', begin);
            const bool whole = found != std::string_view::npos;
            line(begin, whole ? found : end, whole);
            begin = whole ? found + 1 : end;
        }
    }

    void line(std::size_t begin, std::size_t end, bool whole) {
        int ordinal = 0;
        std::int64_t first_time = 0;
        const auto add = [&](std::size_t from, std::size_t until, std::size_t decided_at) {
            const Call& call = call_of(decided_at);
            entries_.push_back({.line = std::string(text_.substr(from, until - from)),
                                .position = from,
                                .time = call.number,
                                .pid = call.number,
                                .comm = "call " + std::to_string(call.number)});
        };
        const auto add_piece = [&](std::size_t from, std::size_t until, std::size_t decided_at,
                                   bool last) {
            add(from, until, decided_at);
            Kept& entry = entries_.back();
            if (++ordinal == 1) {
                first_time = entry.time;
                ++cut_lines_;
            }
            entry.time = first_time;
            entry.cut_line = cut_lines_;
            entry.ordinal = ordinal;
            entry.last = last;
        };
        for (; end - begin >= piece; begin += piece) {
            add_piece(begin, begin + piece, begin + piece - 1, false);
        }
        if (!whole) {
            if (begin < end) add_piece(begin, end, end - 1, false);
        } else if (ordinal > 0) {
            add_piece(begin, end, end, true);
        } else {
            add(begin, end, end);
        }
    }

    std::string_view text_;
    const std::vector<Call>& calls_;
    std::vector<Kept> entries_;
    int cut_lines_ = 0;
};

class Random {
 public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    // From 0 to limit, both included.
    std::uint64_t upto(std::uint64_t limit) {
        return std::uniform_int_distribution<std::uint64_t>(0, limit)(engine_);
    }
    bool once_in(std::uint64_t n) { return upto(n - 1) == 0; }

 private:
    std::mt19937_64 engine_;
};

// Lines of lengths around the limits, some of noise, some without an end.
std::string random_text(Random& random) {
    std::string text;
    const std::uint64_t lines = random.upto(30);
    for (std::uint64_t i = 0; i < lines; ++i) {
        std::uint64_t length = random.upto(200);
        switch (random.upto(9)) {
            case 0:
                length = 16384 * (1 + random.upto(2)) + random.upto(4) - 2;
                break;
            case 1:
                length = random.upto(50000);
                break;
            case 2:
                length = random.upto(2);
        }
        const bool noise = random.once_in(4);
        for (std::uint64_t at = 0; at < length; ++at) {
            text += static_cast<char>(noise ? random.upto(255) : 'a' + at % 26);
        }
        if (!random.once_in(8)) text += '\n';
    }
    return text;
}

std::vector<Call> random_calls(std::size_t size, Random& random) {
    std::vector<Call> calls;
    const bool tiny = random.once_in(10);
    const bool has_gaps = random.once_in(2);
    for (std::uint64_t at = 0; at < size;) {
        std::uint64_t length = tiny ? random.upto(40) : random.upto(5000);
        if (random.once_in(20)) length = random.upto(70000);
        if (random.once_in(10)) length = 0;
        length = std::min<std::uint64_t>(length, size - at);
        const bool is_gap = has_gaps && length > 0 && random.once_in(20);
        calls.push_back({at, at + length, is_gap, static_cast<std::uint32_t>(calls.size() + 1)});
        at += length;
    }
    return calls;
}

}  // namespace

TEST_CASE("1000 random streams are cut as the model cuts them") {
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        const std::string text = random_text(random);
        const std::vector<Call> calls = random_calls(text.size(), random);
        Fed stream;
        const bool is_replaced = random.once_in(3);
        for (const Call& call : calls) {
            if (is_replaced && random.once_in(5)) stream.replace();
            if (call.is_gap) {
                stream.gap(call.end - call.begin);
            } else {
                stream.bytes(std::string_view(text).substr(call.begin, call.end - call.begin));
            }
            REQUIRE(stream.splitter->pending() < LineSplitter::piece_size);
        }
        stream.splitter->end();
        const std::vector<Kept> expected = Model(text, calls).entries();

        REQUIRE(stream.out.wrong.empty());
        REQUIRE(stream.out.entries.size() == expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            CAPTURE(i);
            const Kept& ours = stream.out.entries[i];
            REQUIRE(ours.position == expected[i].position);
            REQUIRE(ours.line.size() == expected[i].line.size());
            REQUIRE(ours.time == expected[i].time);
            REQUIRE(ours.pid == expected[i].pid);
            REQUIRE(ours.ordinal == expected[i].ordinal);
            REQUIRE(ours.last == expected[i].last);
            const bool same = ours == expected[i];
            REQUIRE(same);
        }
    }
}
