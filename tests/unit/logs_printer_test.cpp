// What `twinlog logs` makes of entries.
#include "cli/logs_printer.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace twinlog;

namespace {

constexpr std::int64_t noon = 1'795'521'600'000'000'000;  // 2026-11-24T12:00:00Z
const std::string noon_text = "2026-11-24T12:00:00.000000000Z ";
const std::string id_a(64, 'a');
const std::string id_b(64, 'b');

Entry whole(std::string_view line, Source source = Source::stdout_) {
    Entry entry;
    entry.source = source;
    entry.time_ns = noon;
    entry.line = line;
    return entry;
}

Entry piece(std::string_view line, std::string_view id, int ordinal, bool last,
            Source source = Source::stdout_) {
    Entry entry = whole(line, source);
    entry.partial = Partial{id, ordinal, last};
    return entry;
}

// "1:" and "2:" before what goes to standard output and standard error.
std::string printed(const LogsPrinter& printer) {
    std::string text;
    for (const PrintBuffer::Piece& part : printer.output().pieces()) {
        text += part.to == Source::stdout_ ? "1:" : "2:";
        text += part.text;
    }
    return text;
}

std::string print(const PrintOptions& options, const std::vector<Entry>& entries) {
    LogsPrinter printer(options);
    for (const Entry& entry : entries) printer.print(entry);
    return printed(printer);
}

}  // namespace

TEST_CASE("lines get their newline back and go to their stream in order", "[logs_printer]") {
    CHECK(print({}, {}).empty());
    CHECK(print({}, {whole("a"), whole(""), whole("b\r"), whole("e", Source::stderr_),
                     whole("c")}) == "1:a\n\nb\r\n2:e\n1:c\n");
    CHECK(print({}, {whole(std::string_view("a\0\xff", 3))}) == std::string("1:a\0\xff\n", 6));
}

TEST_CASE("pieces of a line are joined", "[logs_printer]") {
    CHECK(print({}, {piece("ab", id_a, 1, false), piece("cd", id_a, 2, false),
                     piece("e", id_a, 3, true), whole("next")}) == "1:abcde\nnext\n");
    // A line of exactly one buffer ends with an empty piece.
    CHECK(print({}, {piece("ab", id_a, 1, false), piece("", id_a, 2, true)}) == "1:ab\n");
    // What the container ended without a newline gets none.
    CHECK(print({}, {piece("tail", id_a, 1, false)}) == "1:tail");
    // The other stream's lines go their own way meanwhile.
    CHECK(print({}, {piece("ab", id_a, 1, false), whole("err", Source::stderr_),
                     piece("cd", id_a, 2, true)}) == "1:ab2:err\n1:cd\n");
}

TEST_CASE("the time stands once, at the beginning of a line", "[logs_printer]") {
    const PrintOptions options{.timestamps = true};
    CHECK(print(options, {whole("a"), whole("")}) == "1:" + noon_text + "a\n" + noon_text + "\n");
    CHECK(print(options, {piece("ab", id_a, 1, false), whole("err", Source::stderr_),
                          piece("cd", id_a, 2, true), whole("x")}) ==
          "1:" + noon_text + "ab2:" + noon_text + "err\n1:cd\n" + noon_text + "x\n");
    // A line whose beginning was not asked for (--tail) has it at the first piece that is shown.
    CHECK(print(options, {piece("cd", id_a, 2, false), piece("e", id_a, 3, true)}) ==
          "1:" + noon_text + "cde\n");
    // The next run's line does not continue the unterminated one of the former.
    CHECK(print(options, {piece("tail", id_a, 1, false), piece("x", id_b, 1, true)}) ==
          "1:" + noon_text + "tail" + noon_text + "x\n");
    CHECK(print(options, {piece("tail", id_a, 1, false), whole("x")}) ==
          "1:" + noon_text + "tail" + noon_text + "x\n");
}

TEST_CASE("prefixes stand in Docker's order, the writer last", "[logs_printer]") {
    Entry entry = whole("a");
    entry.writer = Writer{10, 11, "sh\x1b"};
    CHECK(print({.details = true}, {entry}) == "1: a\n");
    CHECK(print({.writer = true}, {entry}) == "1:sh\\x1b[10/11] a\n");
    CHECK(print({.writer = true}, {whole("a")}) == "1:-[-] a\n");
    CHECK(print({.timestamps = true, .details = true, .writer = true}, {entry}) ==
          "1:" + noon_text + " sh\\x1b[10/11] a\n");
}

TEST_CASE("gaps and damage are told on standard error on a line of their own", "[logs_printer]") {
    Entry gap = whole("");
    gap.gap = Gap{1234, GapReason::ring_full};
    const std::string message =
        "stdout: 1,234 bytes lost here: " + std::string(gap_reason_text(GapReason::ring_full));
    CHECK(print({.subject = "web"}, {whole("a"), gap, whole("b")}) ==
          "1:a\n2:twinlog: web: " + message + "\n1:b\n");
    CHECK(print({.subject = "\x1b[31m"}, {gap}) == "2:twinlog: \\x1b[31m: " + message + "\n");
    CHECK(print({}, {gap}) == "2:twinlog: " + message + "\n");
    CHECK(print({}, {piece("part", id_a, 1, false, Source::stderr_), gap,
                     piece("rest", id_a, 2, true, Source::stderr_)}) ==
          "2:part\ntwinlog: " + message + "\nrest\n");

    LogsPrinter printer(PrintOptions{.subject = "web"});
    printer.print(Damage{Damage::Kind::skipped, "container-cached.log.1", 4096, 1});
    CHECK(printed(printer) ==
          "2:twinlog: web: container-cached.log.1: skipped 1 byte at byte 4096: damaged\n");
}

TEST_CASE("raw bytes pass unchanged", "[logs_printer]") {
    LogsPrinter printer(PrintOptions{.timestamps = true});
    printer.print_raw(Source::stdout_, "a\nb");
    printer.print_raw(Source::stdout_, "");
    printer.print_raw(Source::stderr_, "e");
    CHECK(printed(printer) == "1:a\nb2:e");
}
