// What `twinlog logs` makes of entries.
#include "cli/logs_printer.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "entries.h"
#include "format/attributes.h"

using namespace twinlog;

namespace {

const std::string noon_text = "2026-11-24T12:00:00.000000000Z ";

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
    printer.print_bytes(Source::stdout_, "a\nb");
    printer.print_bytes(Source::stdout_, "");
    printer.print_bytes(Source::stderr_, "e");
    CHECK(printed(printer) == "1:a\nb2:e");
}

TEST_CASE("bytes are made visible wherever they are parted", "[logs_printer]") {
    const std::string text =
        "\x1b]0;t\x07"
        "caf\xc3\xa9\r\n\rx\xff\n\n\xe2\x82";
    for (std::size_t at = 0; at <= text.size(); ++at) {
        LogsPrinter printer({.style = {{{true, false}, {false, false}}}});
        printer.print_bytes(Source::stdout_, text.substr(0, at));
        printer.print_bytes(Source::stdout_, text.substr(at));
        printer.finish();
        CHECK(printed(printer) ==
              "1:\\x1b]0;t\\x07"
              "café\r\n\\rx\\xff\n\n\\xe2\\x82");
    }
}

TEST_CASE("attributes stand as Docker prints them", "[logs_printer]") {
    Entry entry = whole("x");
    const std::string packed = pack_attributes({{"b", "1 2"}, {"a", "=,é"}});
    entry.attributes = packed;
    CHECK(print({.details = true}, {entry}) == "1:a=%3D%2C%C3%A9,b=1+2 x\n");
    CHECK(print({}, {entry}) == "1:x\n");
}

TEST_CASE("Docker's ways: a prefix before each piece, no word of gaps", "[logs_printer]") {
    Entry gap = whole("");
    gap.gap = Gap{1234, GapReason::ring_full};
    PrintOptions options{.timestamps = true};
    options.docker_exact = true;
    options.loses_newlines = true;
    CHECK(print(options, {piece("ab", id_a, 1, false), piece("", id_a, 2, true), whole("x")}) ==
          "1:" + noon_text + "ab" + noon_text + noon_text + "x\n");
    options.loses_newlines = false;
    CHECK(print(options, {piece("ab", id_a, 1, false), gap, piece("cd", id_a, 2, true)}) ==
          "1:" + noon_text + "ab" + noon_text + "cd\n");
}

TEST_CASE("a terminal sees control bytes, it does not obey them", "[logs_printer]") {
    PrintOptions options;
    options.style = {TerminalStyle{.visible = true}, TerminalStyle{}};
    CHECK(print(options, {whole("\x1b[2J\tb\\n\rc\r")}) == "1:\\x1b[2J\tb\\n\\rc\r\n");
    CHECK(print(options, {whole("\xff caf\xc3\xa9 \xe2\x80\xae")}) ==
          "1:\\xff caf\xc3\xa9 \\u202e\n");
    // The other stream goes elsewhere.
    CHECK(print(options, {whole("\x1b", Source::stderr_)}) == "2:\x1b\n");
    // A character that is cut is no wrong one.
    CHECK(print(options, {piece("a\xe2\x82", id_a, 1, false), piece("\xac", id_a, 2, true)}) ==
          "1:a\xe2\x82\xac\n");
    CHECK(print(options, {piece("a\xe2", id_a, 1, false), piece("\x82", id_a, 2, false),
                          piece("", id_a, 3, true)}) == "1:a\\xe2\\x82\n");
    CHECK(print(options, {piece("a\xe2", id_a, 1, false), whole("b")}) == "1:a\\xe2b\n");
    LogsPrinter printer(options);
    printer.print(piece("a\xe2", id_a, 1, false));
    printer.finish();
    CHECK(printed(printer) == "1:a\\xe2");
}

TEST_CASE("colours: matches and messages", "[logs_printer]") {
    const auto pattern = Pattern::compile("b+|$", false);
    REQUIRE(pattern);
    PrintOptions options;
    options.style = {TerminalStyle{true, true}, TerminalStyle{true, true}};
    options.highlight = &*pattern;
    CHECK(print(options, {whole("abba\x1b b")}) ==
          "1:a\x1b[1;31mbb\x1b[0ma\\x1b \x1b[1;31mb\x1b[0m\n");
    Entry gap = whole("");
    gap.gap = Gap{1, GapReason::ring_full};
    CHECK(print(options, {gap}) ==
          "2:\x1b[33mtwinlog: stdout: 1 byte lost here: ring full\x1b[0m\n");
}

TEST_CASE("lines of several logs begin with their owner", "[logs_printer]") {
    PrintOptions options{.timestamps = true};
    options.whole_lines = true;
    LogsPrinter printer(options);
    const LineOwner web{"twinlog: web: ", {"web | ", "WEB | "}};
    const LineOwner db{"twinlog: db: ", {"db  | ", "DB  | "}};
    Line line;
    line.entry = piece("tail", id_a, 1, false);
    printer.print(line, web);
    line.entry = whole("e", Source::stderr_);
    line.after_break = true;
    printer.print(line, db);
    line.after_break = false;
    line.entry = whole("");
    line.entry.gap = Gap{5, GapReason::fault};
    printer.print(line, db);
    CHECK(printed(printer) == "1:web | " + noon_text + "tail\n2:DB  | --\nDB  | " + noon_text +
                                  "e\ntwinlog: db: stdout: 5 bytes lost here: " +
                                  std::string(gap_reason_text(GapReason::fault)) + "\n");
}
