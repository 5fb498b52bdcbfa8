// Which lines --grep, --writer and their kin let through.
#include "read/line_filter.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace twinlog;

namespace {

Entry entry_of(std::string_view line) {
    Entry entry;
    entry.line = line;
    return entry;
}

Pattern pattern(std::string_view expression, bool ignore_case = false) {
    auto compiled = Pattern::compile(expression, ignore_case);
    REQUIRE(compiled);
    return std::move(*compiled);
}

// Lines, one space between; "!" stands for a gap. What is context is in parentheses, "--" a break.
std::string selected(const LineFilter& filter, const std::string& lines,
                     std::optional<std::uint64_t> tail = std::nullopt,
                     const std::string& later = "") {
    LineSelector selector(filter, tail);
    std::string text;
    const auto show = [&text](const Line& line) {
        if (line.after_break) text += "-- ";
        if (line.entry.gap) {
            text += "! ";
        } else {
            text += line.context ? "(" + std::string(line.entry.line) + ") "
                                 : std::string(line.entry.line) + " ";
        }
    };
    const auto pop = [&] {
        OwnedLine owned;
        while (selector.pop(owned)) show(owned.view());
    };
    const auto take = [&](const std::string& words) {
        for (std::size_t at = 0; at < words.size();) {
            const std::size_t end = std::min(words.find(' ', at), words.size());
            const std::string word = words.substr(at, end - at);
            at = end + 1;
            Line line;
            line.entry = entry_of(word);
            if (word == "!") line.entry.gap = Gap{1, GapReason::ring_full};
            if (selector.take(line)) show(line);
            pop();
        }
    };
    take(lines);
    selector.release();
    pop();
    take(later);
    if (!text.empty()) text.pop_back();
    return text;
}

}  // namespace

TEST_CASE("a pattern matches anywhere in the bytes of a line", "[pattern]") {
    CHECK(pattern("b+").matches("abbc"));
    CHECK_FALSE(pattern("^b").matches("abbc"));
    CHECK(pattern("c$").matches("abbc"));
    CHECK_FALSE(pattern("B").matches("abbc"));
    CHECK(pattern("B", true).matches("abbc"));
    CHECK(pattern("É", true).matches("café"));
    CHECK(pattern("b").matches(std::string_view("\0\xff\xfe b", 5)));
    CHECK(pattern("").matches(""));
    // An expression that takes others exponential time.
    CHECK_FALSE(pattern("(a*)*b").matches(std::string(100000, 'a')));

    using Places = std::vector<Pattern::Place>;
    CHECK(pattern("[a-z]+").find_all("1 ab cd") == Places{{2, 2}, {5, 2}});
    CHECK(pattern("[a-z]*").find_all("1 ab 2") == Places{{2, 2}});
    CHECK(pattern("[a-z]+").find_all("1 2").empty());
}

TEST_CASE("a byte that is no UTF-8 is a character", "[pattern]") {
    const std::string latin = "error: fa\347ade failed, caf\303\251";
    for (const char* expression : {"error.*failed", "fa.ade", "fa[^a-z]ade", "^.{26}$", "fa\\Cade",
                                   "fa\\x{fffd}ade", "failed, caf\u00e9$", "caf.$"}) {
        INFO(expression);
        CHECK(pattern(expression).matches(latin));
    }
    CHECK_FALSE(pattern("fa..ade").matches(latin));
    CHECK_FALSE(pattern("\u00e7").matches(latin));  // no Latin-1
    CHECK(pattern("^...$").matches("\xe2\x82\xff"));

    using Places = std::vector<Pattern::Place>;
    CHECK(pattern("a.a").find_all(latin) == Places{{8, 3}});
    CHECK(pattern("\u00e9|f|.ade").find_all(latin) ==
          Places{{7, 1}, {9, 4}, {14, 1}, {24, 1}, {25, 2}});
    CHECK(pattern(".").find_all("\xff\xfe") == Places{{0, 1}, {1, 1}});
    CHECK(pattern("b+").find_all("\xff\xff\xff"
                                 "bb") == Places{{3, 2}});
}

TEST_CASE("a wrong pattern is told with its reason", "[pattern]") {
    const auto wrong = Pattern::compile("a(b", false);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().message().find("a(b") != std::string::npos);
    CHECK(wrong.error().message().find("missing )") != std::string::npos);
    CHECK_FALSE(Pattern::compile("*", false));
    CHECK_FALSE(Pattern::compile("\xff", false));
    CHECK_FALSE(Pattern::compile("(?P<n>a", true));
}

TEST_CASE("a writer is known by name and by each of its ids", "[line_filter]") {
    const Writer writer{100, 101, "worker", 7};
    for (const auto* name : {"worker", "100", "101", "7"}) {
        CHECK(WriterFilter(name).matches(writer));
    }
    for (const auto* name : {"work", "worker2", "10", "0", "", "Worker", "-7"}) {
        CHECK_FALSE(WriterFilter(name).matches(writer));
    }
    // The kernel keeps 15 bytes of a name.
    CHECK(WriterFilter("a-very-long-program").matches(Writer{1, 1, "a-very-long-pro", 0}));
    CHECK(WriterFilter("42").matches(Writer{1, 1, "42", 0}));
    CHECK_FALSE(WriterFilter("0").matches(Writer{1, 1, "x", 0}));
}

TEST_CASE("a line must pass the writer and the pattern", "[line_filter]") {
    LineFilter filter;
    CHECK_FALSE(filter.looks_at_lines());
    CHECK(filter.matches(entry_of("a")));
    filter.pattern = pattern("a$");
    filter.writer = WriterFilter("sh");
    CHECK(filter.looks_at_lines());
    Entry entry = entry_of("a");
    CHECK_FALSE(filter.matches(entry));
    entry.writer = Writer{1, 1, "sh", 0};
    CHECK(filter.matches(entry));
    entry.line = "a\r";  // as terminals have it
    CHECK(filter.matches(entry));
    filter.invert = true;
    CHECK_FALSE(filter.matches(entry));
    entry.line = "b";
    CHECK(filter.matches(entry));
    entry.writer->comm = "cat";
    CHECK_FALSE(filter.matches(entry));
}

TEST_CASE("lines around a match are shown once", "[line_filter]") {
    LineFilter filter;
    filter.pattern = pattern("x");
    CHECK(selected(filter, "a x1 b ! c x2") == "x1 ! x2");
    filter.context = 1;
    CHECK(selected(filter, "a b x1 c d") == "(b) x1 (c)");
    CHECK(selected(filter, "x1 x2 a x3") == "x1 x2 (a) x3");
    CHECK(selected(filter, "x1 a b x2") == "x1 (a) (b) x2");
    CHECK(selected(filter, "x1 a b c x2 d") == "x1 (a) -- (c) x2 (d)");
    CHECK(selected(filter, "a b c").empty());
    filter.context = 2;
    CHECK(selected(filter, "a b c x1 d e f g h x2") == "(b) (c) x1 (d) (e) -- (g) (h) x2");
}

TEST_CASE("a gap is shown and parts what is around it", "[line_filter]") {
    LineFilter filter;
    filter.pattern = pattern("x");
    filter.context = 2;
    CHECK(selected(filter, "a ! b x1 ! c x2") == "! (b) x1 ! (c) x2");
    CHECK(selected(filter, "x1 a b c ! d") == "x1 (a) (b) !");
}

TEST_CASE("a tail counts the lines that match", "[line_filter]") {
    LineFilter filter;
    filter.pattern = pattern("x");
    CHECK(selected(filter, "x1 a x2 b x3 c", 2) == "x2 x3");
    CHECK(selected(filter, "x1 a", 2) == "x1");
    CHECK(selected(filter, "a", 2).empty());
    CHECK(selected(filter, "! x1 ! x2 ! x3 !", 1) == "x3 !");
    // What comes later is no part of it.
    CHECK(selected(filter, "x1 x2", 1, "x3 a x4") == "x2 x3 x4");
    filter.context = 1;
    CHECK(selected(filter, "x1 a x2 b", 1) == "(a) x2 (b)");
    CHECK(selected(filter, "x1 a b c d x2 e f", 1) == "(d) x2 (e)");
    CHECK(selected(filter, "x1 a b c d x2 e f x3", 2) == "(d) x2 (e) (f) x3");
    CHECK(selected(filter, "x1 x2", 1, "a b c x3") == "x2 (a) -- (c) x3");
}
