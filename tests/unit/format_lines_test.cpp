// Formats of lines: what others wrote, what is damaged, and what each has a word for.
#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "entries.h"
#include "format/cri.h"
#include "format/json_text.h"
#include "format/log_format.h"
#include "format/timestamp.h"

using namespace twinlog;

namespace {

const std::string time_text = "2026-11-24T12:00:00Z";

std::string encoded(std::string_view format, const Entry& entry) {
    std::string out;
    find_format(format).value()->encoder()->append(entry, out);
    return out;
}

// What the first entry is: "whole LINE", "gap BYTES", "other", "damaged SIZE" or "need_more".
std::string decoded(std::string_view format, std::string_view bytes, bool at_end = false) {
    const auto decoder = find_format(format).value()->decoder({});
    const Frame frame = decoder->decode(bytes, at_end);
    if (frame.state == FrameState::need_more) return "need_more";
    if (frame.state == FrameState::damaged) return "damaged " + std::to_string(frame.size);
    if (!frame.known_source) return "other";
    if (frame.entry.gap) return "gap " + std::to_string(frame.entry.gap->bytes);
    return "whole " + std::string(frame.entry.line);
}

std::string json_line(const std::string& members) {
    return "{" + members + R"("stream":"stdout","time":")" + time_text + "\"}\n";
}

}  // namespace

TEST_CASE("json-file: reading goes on with the entry that damage runs into") {
    const std::string line = json_line(R"("log":"a\n",)");
    const std::string gap =
        R"({"stream":"gap-stdout","lost":5,"reason":1,"run":1,"position":0,"time":")" + time_text +
        "\"}\n";
    CHECK(decoded("json-file", line) == "whole a");
    CHECK(decoded("json-file", gap) == "gap 5");
    CHECK(decoded("json-file", "{\"log" + line) == "damaged 5");
    CHECK(decoded("json-file", "{\"log" + gap) == "damaged 5");
}

TEST_CASE("json-file: the last line may lack its newline, but not its end") {
    const std::string line = json_line(R"("log":"a\n",)");
    const std::string bare = line.substr(0, line.size() - 1);
    CHECK(decoded("json-file", bare) == "need_more");
    CHECK(decoded("json-file", bare, true) == "whole a");
    CHECK(decoded("json-file", bare.substr(0, bare.size() - 1), true) == "need_more");
}

TEST_CASE("json-file: an empty piece has no text") {
    CHECK(encoded("json-file", piece("", id_a, 1, false)).find("log") == std::string::npos);
    CHECK(encoded("json-file", piece("", id_a, 2, true)).find("\"log\":\"\\n\"") == 1);
    CHECK(encoded("json-file", whole("")).find("\"log\":\"\\n\"") == 1);
}

TEST_CASE("json-file: members of others are passed over, as deep as anybody nests them") {
    const auto nested = [](std::size_t depth) {
        return json_line("\"log\":\"a\\n\",\"x\":" + std::string(depth, '[') +
                         std::string(depth, ']') + ",");
    };
    CHECK(decoded("json-file", nested(60)) == "whole a");
    CHECK(decoded("json-file", nested(1000)).starts_with("damaged"));
    CHECK(decoded("json-file", json_line(R"("x":{"y":[1,"}",null]},"log":"a\n",)")) == "whole a");
}

TEST_CASE("json-file: escapes of characters") {
    const auto text = [](const std::string& escaped) {
        return decoded("json-file", json_line("\"log\":\"" + escaped + "\\n\","));
    };
    CHECK(text(R"(\u00e9\u20ac\ud83d\ude00)") == "whole \u00e9\u20ac\U0001f600");
    CHECK(text(R"(\ud83dx)") == "whole \ufffdx");
    CHECK(text(R"(\ud83d\u0041)") == "whole \ufffdA");
    CHECK(text(R"(\ude00\ud83d)") == "whole \ufffd\ufffd");
    CHECK(text(R"(\u12)").starts_with("damaged"));
}

TEST_CASE("UTF-8 has no surrogates, no longer forms than needed and an end") {
    for (const char* const good : {"", "a", "\u00e9", "\ud7ff", "\ue000", "\U0010ffff"}) {
        CHECK(is_utf8(good));
    }
    for (const char* const bad :
         {"\xed\xa0\x80", "\xed\xbf\xbf", "\xc0\x80", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xc3", "\xe2\x82", "\x80", "\xff"}) {
        CHECK_FALSE(is_utf8(bad));
    }
}

TEST_CASE("cri: only a gap's own tag makes one") {
    const std::string begin = time_text + " stdout ";
    CHECK(decoded("cri", begin + "P:twinlog-lost-5-1 \n") == "gap 5");
    for (const char* const tag : {"twinlog-lost-5-1x", "twinlog-lost-5", "twinlog-lost--1",
                                  "twinlog-lost-5-999", "twinlog-lost-x-1", "other"}) {
        CHECK(decoded("cri", begin + "P:" + tag + " \n") == "whole ");
    }
    // Nor does it where there is text.
    CHECK(decoded("cri", begin + "P:twinlog-lost-5-1 text\n") == "whole text");
    CHECK(decoded("cri", begin + "X text\n").starts_with("damaged"));
}

TEST_CASE("cri: the file of a pod's container is named by its restarts, if they are a number") {
    LogOwner owner{.id = "abc", .name = "web", .runtime = "containerd", .labels = {}};
    owner.labels = {{"io.kubernetes.pod.name", "pod"}, {"io.kubernetes.pod.uid", "uid"}};
    const auto file = [&owner] {
        const std::string path = cri_format().places(owner).front().path;
        return path.substr(path.rfind('/') + 1);
    };
    CHECK(file() == "0.log");
    owner.labels["annotation.io.kubernetes.container.restartCount"] = "2";
    CHECK(file() == "2.log");
    owner.labels["io.kubernetes.container.restartCount"] = "3";
    CHECK(file() == "3.log");
    for (const std::string& bad : {std::string("../x"), std::string("-1"), std::string(300, '1')}) {
        owner.labels["io.kubernetes.container.restartCount"] = bad;
        CHECK(file() == "0.log");
    }
}

TEST_CASE("raw: a gap has no bytes") {
    Entry gap = whole("");
    gap.gap = Gap{5, GapReason::fault};
    CHECK(encoded("raw", gap).empty());
    CHECK(encoded("raw", whole("")) == "\n");
    CHECK(encoded("raw", piece("ab", id_a, 1, false)) == "ab");
}

TEST_CASE("times of others' lines") {
    CHECK(parse_rfc3339("2026-11-24T12:00:00Z") == noon);
    CHECK(parse_rfc3339("2026-11-24T14:30:00.5+02:30") == noon + 500'000'000);
    CHECK(parse_rfc3339("2026-11-24T05:00:00-07:00") == noon);
    CHECK(parse_rfc3339("2026-11-24T11:59:60Z") == noon);  // a leap second
    CHECK(parse_rfc3339("2026-11-24T12:00:00.000000000999Z") == noon);
    for (const char* const bad :
         {"", "2026-11-24T12:00:00", "2026-11-24T12:00:61Z", "2026-02-30T12:00:00Z",
          "2026-11-24T12:00:00.Z", "2026-11-24T12:00:00Zx", "9999-01-01T00:00:00Z"}) {
        CHECK_FALSE(parse_rfc3339(bad));
    }
}

TEST_CASE("json-file: many beginnings in one damaged line cost no more than others") {
    constexpr std::size_t count = 400'000;
    const std::string beginning = R"({"log":")";
    std::string bytes;
    for (std::size_t i = 0; i < count; ++i) bytes += beginning;
    bytes += "\n" + json_line(R"("log":"a\n",)");
    const auto decoder = find_format("json-file").value()->decoder({});
    std::string_view rest = bytes;
    std::size_t damaged = 0;
    Frame frame = decoder->decode(rest, true);
    for (; frame.state == FrameState::damaged; frame = decoder->decode(rest, true)) {
        rest.remove_prefix(frame.size);
        ++damaged;
    }
    CHECK(damaged == count);
    REQUIRE(frame.state == FrameState::whole);
    CHECK(frame.entry.line == "a");
    CHECK(frame.size == rest.size());
}
