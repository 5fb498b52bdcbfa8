// What `twinlog logs -o json` and `-o raw` make of lines.
#include "cli/json_output.h"

#include <catch2/catch.hpp>
#include <string>

#include "format/attributes.h"

using namespace twinlog;

namespace {

constexpr std::int64_t noon = 1'795'521'600'000'000'000;  // 2026-11-24T12:00:00Z

PrintedLog web() {
    PrintedLog log;
    log.id = "abc";
    log.name = "web\x1b\"";
    log.owner.message_prefix = "twinlog: web: ";
    return log;
}

Line line_of(std::string_view text) {
    Line line;
    line.entry.line = text;
    line.entry.time_ns = noon;
    return line;
}

std::string json(const Line& line) {
    std::string text;
    append_json_line(web(), line, text);
    return text;
}

const std::string head = R"({"container":"abc","name":"web\u001b\"","stream":"stdout",)"
                         R"("time":"2026-11-24T12:00:00Z",)";

}  // namespace

TEST_CASE("a line of dockerd's has what it is known of it", "[json_output]") {
    CHECK(json(line_of("text")) == head + R"("line":"text"})");
    CHECK(json(line_of("")) == head + R"("line":""})");
    CHECK(json(line_of("a\xff\t<\r")) == head + R"("line":"a\ufffd\t\u003c\r"})");
}

TEST_CASE("a line of ours tells its place and writer", "[json_output]") {
    Line line = line_of("x");
    line.entry.run = 2;
    line.entry.position = 40;
    line.entry.writer = Writer{10, 11, "s\"h", 0};
    CHECK(json(line) == head + R"("line":"x","run":2,"position":40,)"
                               R"("writer":{"pid":10,"tid":11,"comm":"s\"h"}})");
    line.entry.writer->ns_pid = 3;
    line.pieces = 4;
    line.context = true;
    line.entry.partial = Partial{"id", 2, false};
    const std::string attributes = pack_attributes({{"k", "v"}, {"l", "w"}});
    line.entry.attributes = attributes;
    CHECK(json(line) == head + R"("line":"x","run":2,"position":40,)"
                               R"("writer":{"pid":10,"tid":11,"container_pid":3,"comm":"s\"h"},)"
                               R"("pieces":4,"beginning":false,"newline":false,)"
                               R"("attrs":{"k":"v","l":"w"},"context":true})");
}

TEST_CASE("gaps and damage are objects, too", "[json_output]") {
    Line line = line_of("");
    line.entry.run = 1;
    line.entry.position = 7;
    line.entry.gap = Gap{1234, GapReason::ring_full};
    CHECK(json(line) == head + R"("lost":1234,"reason":"ring full","run":1,"position":7})");

    std::string text;
    const Damage damage{Damage::Kind::skipped, "container-cached.log.1", 4096, 3};
    append_json_damage(web(), damage, text);
    CHECK(text == R"({"container":"abc","name":"web\u001b\"","damage":")" + damage.message() +
                      R"(","file":"container-cached.log.1","file_position":4096,"bytes":3})");
}

TEST_CASE("raw output has the bytes alone, and tells at the end what is missing", "[line_output]") {
    const auto output = make_line_output(OutputForm::raw, {.timestamps = true, .writer = true});
    const auto printed = [&output] {
        std::string text;
        for (const PrintBuffer::Piece& piece : output->output().pieces()) {
            text += piece.to == Source::stdout_ ? "1:" : "2:";
            text += piece.text;
        }
        return text;
    };
    Line gap = line_of("");
    gap.entry.gap = Gap{1234, GapReason::ring_full};
    Line tail = line_of("tail");
    tail.entry.partial = Partial{"id", 1, false};
    Line error = line_of("e");
    error.entry.source = Source::stderr_;
    output->print(web(), line_of(std::string_view("a\0\xff", 3)));
    output->print(web(), gap);
    output->print(web(), error);
    output->print(web(), tail);
    CHECK(printed() == std::string("1:a\0\xff\n2:e\n1:tail", 16));
    output->finish();
    CHECK(printed() == std::string("1:a\0\xff\n2:e\n1:tail", 16) +
                           "2:twinlog: web: 1,234 bytes lost, in 1 place; -o short shows where\n");
}
