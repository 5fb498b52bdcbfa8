// Pieces of cut lines, put together again.
#include "read/line_joiner.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "entries.h"

using namespace twinlog;

namespace {

Entry gap(Source source = Source::stdout_) {
    Entry entry = whole("", source);
    entry.gap = Gap{7, GapReason::ring_full};
    return entry;
}

// "<" for a beginning that is missing, "$" for a newline, "!" for a gap.
std::string shown(std::span<const Line> lines) {
    std::string text;
    for (const Line& line : lines) {
        const Entry& entry = line.entry;
        if (entry.gap) {
            text += "!";
            continue;
        }
        if (entry.partial && entry.partial->ordinal > 1) text += "<";
        text += entry.line;
        if (has_newline(entry)) text += "$";
    }
    return text;
}

std::string joined(const std::vector<Entry>& entries) {
    LineJoiner joiner;
    std::string text;
    for (const Entry& entry : entries) text += shown(joiner.add(entry));
    return text + "|" + shown(joiner.finish());
}

}  // namespace

TEST_CASE("whole lines pass without a copy", "[line_joiner]") {
    LineJoiner joiner;
    const std::string text = "some line";
    const auto lines = joiner.add(whole(text));
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].entry.line.data() == text.data());
    CHECK(lines[0].pieces == 1);
}

TEST_CASE("pieces become a line when the last one comes", "[line_joiner]") {
    CHECK(joined({piece("ab", id_a, 1, false), piece("cd", id_a, 2, false),
                  piece("", id_a, 3, true), whole("x")}) == "abcd$x$|");
    // The other stream's lines do not wait for it.
    CHECK(joined({piece("ab", id_a, 1, false), whole("e", Source::stderr_),
                  piece("A", id_b, 1, false, Source::stderr_), piece("cd", id_a, 2, true),
                  piece("B", id_b, 2, true, Source::stderr_)}) == "e$abcd$AB$|");
}

TEST_CASE("a line that does not go on has no newline", "[line_joiner]") {
    CHECK(joined({piece("tail", id_a, 1, false)}) == "|tail");
    CHECK(joined({piece("tail", id_a, 1, false), whole("x")}) == "tailx$|");
    CHECK(joined({piece("tail", id_a, 1, false), piece("x", id_b, 1, true)}) == "tailx$|");
    CHECK(joined({piece("a", id_a, 1, false), piece("b", id_b, 1, false),
                  piece("e", id_a, 1, false, Source::stderr_)}) == "a|be");
}

TEST_CASE("a line whose beginning is missing says so", "[line_joiner]") {
    CHECK(joined({piece("cd", id_a, 2, false), piece("e", id_a, 3, true)}) == "<cde$|");
    CHECK(joined({piece("e", id_a, 3, true)}) == "<e$|");
    CHECK(joined({piece("ab", id_a, 1, false), gap(), piece("cd", id_a, 2, true)}) == "ab!<cd$|");
    CHECK(joined({piece("ab", id_a, 1, false), gap(Source::stderr_), piece("cd", id_a, 2, true)}) ==
          "!abcd$|");
}

TEST_CASE("a joined line has the first piece's place and the last one's writer", "[line_joiner]") {
    LineJoiner joiner;
    std::string comm = "first";
    Entry first = piece("ab", id_a, 1, false);
    first.time_ns = 5;
    first.position = 100;
    first.run = 2;
    first.writer = Writer{1, 1, comm, 0};
    CHECK(joiner.add(first).empty());
    comm.assign("other");  // what was borrowed is gone
    Entry last = piece("cd", id_a, 2, true);
    last.time_ns = 9;
    last.position = 102;
    last.run = 2;
    last.writer = Writer{2, 3, "second", 0};
    const auto lines = joiner.add(last);
    REQUIRE(lines.size() == 1);
    const Entry& entry = lines[0].entry;
    CHECK(lines[0].pieces == 2);
    CHECK(entry.time_ns == 5);
    CHECK(entry.position == 100);
    CHECK(entry.run == 2);
    CHECK(entry.writer == Writer{2, 3, "second", 0});
}

TEST_CASE("a line without end is given out in parts", "[line_joiner]") {
    LineJoiner joiner;
    const std::string block(LineJoiner::max_line / 4, 'x');
    for (int i = 1; i <= 3; ++i) CHECK(joiner.add(piece(block, id_a, i, false)).empty());
    CHECK_FALSE(joiner.has_cut());
    auto lines = joiner.add(piece(block, id_a, 4, false));
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].entry.line.size() == LineJoiner::max_line);
    CHECK_FALSE(has_newline(lines[0].entry));
    CHECK(joiner.has_cut());
    lines = joiner.add(piece("end", id_a, 5, true));
    CHECK(shown(lines) == "<end$");
}
