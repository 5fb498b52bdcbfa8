// All log formats: files that a real dockerd made (golden/make), and entries from one format to
// another and back.
#include <fcntl.h>

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "format/attributes.h"
#include "format/json_text.h"
#include "format/log_format.h"
#include "store/gzip.h"
#include "temp_directory.h"

using namespace twinlog;

namespace {

// An entry with its own text.
struct Kept {
    explicit Kept(const Entry& from)
        : entry(from),
          line(from.line),
          id(from.partial ? from.partial->id : std::string_view()),
          comm(from.writer ? from.writer->comm : std::string_view()),
          attributes(from.attributes) {}

    [[nodiscard]] Entry view() const {
        Entry out = entry;
        out.line = line;
        out.attributes = attributes;
        if (out.partial) out.partial->id = id;
        if (out.writer) out.writer->comm = comm;
        return out;
    }

    Entry entry;
    std::string line;
    std::string id;
    std::string comm;
    std::string attributes;
};

const LogFormat& format_of(std::string_view name) {
    return *find_format(name).value();
}

std::vector<Kept> decode(const LogFormat& format, std::string_view bytes,
                         const DecoderOptions& options = {}) {
    std::vector<Kept> entries;
    const auto decoder = format.decoder(options);
    while (!bytes.empty()) {
        const Frame frame = decoder->decode(bytes, true);
        REQUIRE(frame.state == FrameState::whole);
        REQUIRE(frame.known_source);
        entries.emplace_back(frame.entry);
        bytes.remove_prefix(frame.size);
    }
    return entries;
}

std::string encode(const LogFormat& format, const std::vector<Kept>& entries) {
    std::string bytes;
    const auto encoder = format.encoder();
    for (const Kept& kept : entries) encoder->append(kept.view(), bytes);
    return bytes;
}

std::string golden(const std::string& name) {
    const std::string path = std::string(GOLDEN_DIRECTORY) + "/" + name;
    std::string bytes = contents_of(path);
    INFO(path);
    REQUIRE_FALSE(bytes.empty());
    return bytes;
}

// What golden/lines.sh prints, as entries; a newline is shown as it is printed.
std::vector<std::string> golden_lines() {
    return {"hello\n",
            "\n",
            "tab\there, quote\", back\\slash, <html> & more, bell\a, escape\033[1m\n",
            "crlf\r\n",
            std::string("nul\0 and del\177\n", 14),
            "\xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x80\xa8 \xe2\x80\xa9\n",
            std::string(16384, 'x'),
            "xxxxxx\n",
            "error\n",
            "no newline"};
}

}  // namespace

TEST_CASE("golden: dockerd's files are read, and written again byte for byte", "[formats]") {
    const std::string name = GENERATE("json-file", "local");
    const LogFormat& format = format_of(name);
    const std::string bytes = golden(name + ".log");
    const std::vector<Kept> entries = decode(format, bytes);
    std::vector<std::string> printed;
    for (const Kept& kept : entries) {
        const bool cut = kept.entry.partial && !kept.entry.partial->last;
        printed.push_back(kept.line + (cut ? "" : "\n"));
        const bool is_error = kept.line == "error";
        CHECK(kept.entry.source == (is_error ? Source::stderr_ : Source::stdout_));
    }
    CHECK(printed == golden_lines());
    REQUIRE(entries.size() == 10);
    CHECK(entries[6].entry.partial->ordinal == 1);
    CHECK(entries[7].entry.partial->ordinal == 2);
    CHECK(entries[7].entry.partial->last);
    CHECK(entries[6].id == entries[7].id);
    CHECK(entries[6].id.size() == 64);
    CHECK(entries[6].entry.time_ns == entries[7].entry.time_ns);
    CHECK(encode(format, entries) == bytes);
    // It passes through the other format, too, but for ids that only one of them has.
    const LogFormat& other = format_of(name == "local" ? "json-file" : "local");
    CHECK(encode(format_of("json-file"), decode(other, encode(other, entries))) ==
          encode(format_of("json-file"), entries));
}

TEST_CASE("golden: attributes as dockerd writes them", "[formats]") {
    const LogFormat& format = format_of("json-file");
    const std::string bytes = golden("json-file-attributes.log");
    const std::vector<Kept> entries = decode(format, bytes);
    REQUIRE(entries.size() == 2);
    for (const Kept& kept : entries) {
        CHECK(unpack_attributes(kept.attributes) ==
              std::map<std::string, std::string>{
                  {"COLOUR", "red"}, {"b", "2"}, {"tag", "golden"}, {"who", "web \"<&>\""}});
    }
    CHECK(encode(format, entries) == bytes);
    // Newer dockerds' local format has a field for them.
    const LogFormat& local = format_of("local");
    CHECK(encode(format, decode(local, encode(local, entries))) == bytes);
}

TEST_CASE("golden: a file that dockerd rotated and compressed", "[formats]") {
    const std::string path = std::string(GOLDEN_DIRECTORY) + "/local-rotated.log.gz";
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(fd.valid());
    const auto facts = read_gzip_header(fd.get());
    REQUIRE(facts);
    REQUIRE(facts->last_ns);
    CHECK_FALSE(facts->first_ns);
    auto gzip = GzipReader::open(fd.get(), path);
    REQUIRE(gzip);
    std::string bytes(100'000, '\0');
    const auto got = (*gzip)->read_at(0, bytes.data(), bytes.size());
    REQUIRE(got);
    bytes.resize(*got);
    CHECK_FALSE((*gzip)->damaged_at());
    const std::vector<Kept> entries = decode(format_of("local"), bytes);
    REQUIRE(entries.size() > 20);
    CHECK(entries.back().entry.time_ns <= *facts->last_ns);
    const int first = std::stoi(entries.front().line);
    for (std::size_t i = 0; i < entries.size(); ++i) {
        CHECK(entries[i].line == std::to_string(first + static_cast<int>(i)));
    }
    CHECK(encode(format_of("local"), entries) == bytes);
    // Our header is read by Docker's rules, and the other way round.
    CHECK(gzip_extra({facts->last_ns, std::nullopt, 0}).starts_with("{\"lastTime\":\"20"));
}

namespace {

// Entries as a daemon may make them.
std::vector<Kept> any_entries(std::mt19937& random, bool utf8) {
    static const std::vector<std::string> parts = {"a",
                                                   "text",
                                                   "\"",
                                                   "\\",
                                                   "\\n",
                                                   "<>&",
                                                   "\t\r\x1b\x7f",
                                                   "\xe2\x80\xa8",
                                                   "\xe2\x82\xac",
                                                   "\xf0\x9f\x98\x80",
                                                   " ",
                                                   std::string(1, '\0'),
                                                   "{\"log\":\"x\"}",
                                                   "2020-01-01T00:00:00Z"};
    static const std::vector<std::string> wrong = {"\xff", "\xe2\x82", "\xc0\x80", "\xed\xa0\x80"};
    const auto text = [&] {
        std::string made;
        for (unsigned i = random() % 6; i > 0; --i) {
            made += !utf8 && random() % 4 == 0 ? wrong[random() % wrong.size()]
                                               : parts[random() % parts.size()];
        }
        return made;
    };
    std::vector<Kept> entries;
    std::int32_t open[2] = {0, 0};
    for (unsigned i = random() % 20; i > 0; --i) {
        Entry entry;
        const auto stream = random() % 2;
        entry.source = static_cast<Source>(stream);
        // Whole seconds and fractions of all lengths.
        entry.time_ns = 1'795'478'628'000'000'000 + static_cast<std::int64_t>(random() % 4) *
                                                        (random() % 2 == 0 ? 1 : 10'000'000);
        entry.run = 1 + random() % 2;
        entry.position = random();
        const std::string line = text();
        const auto number = [&] { return static_cast<std::uint32_t>(random()); };
        const std::string id(64, static_cast<char>('a' + stream));
        const std::string attributes = pack_attributes({{"k" + text(), "v"}, {"empty", ""}});
        if (random() % 8 == 0) {
            entry.gap = Gap{random() % 5000, static_cast<GapReason>(1 + random() % 5)};
        } else {
            entry.line = line;
            if (random() % 3 == 0) entry.attributes = attributes;
            if (random() % 3 == 0) entry.writer = Writer{number(), number(), "comm \x1b", 1};
            const bool ends = random() % 3 != 0;
            if (open[stream] > 0 || !ends) {
                // A piece without text ends a line; in the middle of one there is none.
                if (!ends && line.empty()) entry.line = "x";
                entry.partial = Partial{id, ++open[stream], ends};
                if (ends) open[stream] = 0;
            }
        }
        entries.emplace_back(entry);
    }
    return entries;
}

void check_same(const Entry& before, const Entry& after, const Keeps& keeps) {
    CHECK(before.source == after.source);
    if (keeps.times) CHECK(before.time_ns == after.time_ns);
    CHECK(before.gap == after.gap);
    CHECK(before.line == after.line);
    CHECK(before.partial.has_value() == after.partial.has_value());
    if (before.partial && after.partial) {
        CHECK(before.partial->last == after.partial->last);
        CHECK(before.partial->ordinal == after.partial->ordinal);
    }
    if (keeps.attributes) {
        CHECK(unpack_attributes(before.attributes) == unpack_attributes(after.attributes));
    }
    if (keeps.facts) CHECK(before == after);
}

}  // namespace

TEST_CASE("formats: what a format keeps comes back", "[formats]") {
    std::mt19937 random(11);  // NOLINT(cert-msc51-cpp): the same each time
    for (int round = 0; round < 300; ++round) {
        const bool utf8 = round % 2 == 0;
        const std::vector<Kept> entries = any_entries(random, utf8);
        for (const LogFormat* format : formats()) {
            const Keeps keeps = format->keeps();
            if (!keeps.gaps || (!keeps.any_bytes && !utf8)) continue;
            INFO(format->name() << ", round " << round);
            const std::vector<Kept> again = decode(*format, encode(*format, entries));
            REQUIRE(again.size() == entries.size());
            for (std::size_t i = 0; i < again.size(); ++i) {
                check_same(entries[i].view(), again[i].view(), keeps);
            }
        }
    }
}

TEST_CASE("formats: from each format to each other and back", "[formats]") {
    std::mt19937 random(12);  // NOLINT(cert-msc51-cpp): the same each time
    for (int round = 0; round < 300; ++round) {
        const std::vector<Kept> entries = any_entries(random, true);
        for (const LogFormat* one : formats()) {
            if (!one->keeps().gaps) continue;  // raw: below
            const std::string bytes = encode(*one, entries);
            for (const LogFormat* other : formats()) {
                if (!other->keeps().gaps) continue;
                INFO(one->name() << " to " << other->name() << ", round " << round);
                const std::vector<Kept> read = decode(*one, bytes);
                const std::vector<Kept> back = decode(*other, encode(*other, read));
                REQUIRE(back.size() == read.size());
                for (std::size_t i = 0; i < back.size(); ++i) {
                    CHECK(back[i].line == read[i].line);
                    CHECK(back[i].entry.time_ns == read[i].entry.time_ns);
                    CHECK(back[i].entry.gap == read[i].entry.gap);
                }
            }
        }
    }
}

TEST_CASE("formats: raw is the bytes, in whatever way they were stored", "[formats]") {
    std::mt19937 random(13);  // NOLINT(cert-msc51-cpp): the same each time
    const LogFormat& raw = format_of("raw");
    for (int round = 0; round < 100; ++round) {
        std::string bytes(random() % 50'000, '\0');
        for (char& byte : bytes) {
            byte = random() % 200 == 0 ? '\n' : static_cast<char>(random() % 256);
        }
        if (round % 3 == 0) bytes += '\n';
        const std::vector<Kept> entries = decode(raw, bytes, {Source::stderr_, 5});
        CHECK(encode(raw, entries) == bytes);
        for (const char* const name : {"local", "cri"}) {
            const LogFormat& other = format_of(name);
            const std::vector<Kept> again = decode(other, encode(other, entries));
            CHECK(encode(raw, again) == bytes);
            for (const Kept& kept : again) {
                CHECK(kept.entry.source == Source::stderr_);
                CHECK(kept.entry.time_ns == 5);
                CHECK(kept.line.size() <= 16384);
            }
        }
    }
}

TEST_CASE("formats: JSON that is no entry costs its line alone", "[formats]") {
    const LogFormat& format = format_of("json-file");
    const std::string time = R"("time":"2026-11-24T00:00:00Z"})";
    const std::string good = R"({"log":"a\n","stream":"stdout",)" + time;
    const auto texts = [&format](std::string_view bytes) {
        std::string found;
        const auto decoder = format.decoder({});
        while (!bytes.empty()) {
            const Frame frame = decoder->decode(bytes, true);
            REQUIRE(frame.size > 0);
            if (frame.state == FrameState::need_more) return found + "…";
            found += frame.state == FrameState::whole ? std::string(frame.entry.line) : "!";
            bytes.remove_prefix(frame.size);
        }
        return found;
    };
    CHECK(texts(good + "\n" + good + "\n") == "aa");
    CHECK(texts("garbage\n" + good + "\n") == "!a");
    // The newline before it is damaged: the entry is found all the same.
    CHECK(texts(R"({"log":"b\n",x)" + good + "\n" + good + "\n") == "!aa");
    CHECK(texts(good + "x" + good + "\n") == "!a");
    CHECK(texts(good.substr(0, 20)) == "…");
    // No text can look like that.
    CHECK(texts(R"({"log":"{\"log\":\"b\"}\n","stream":"stdout",)" + time + "\n") ==
          R"({"log":"b"})");
}
