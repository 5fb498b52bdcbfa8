// Entries of two streams in one order, by their times, and nobody held up for long.
#include "stream/entry_merger.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "stream/write_assembler.h"

using namespace twinlog;

namespace {

constexpr std::uint64_t ms = 1'000'000;

// Lines, one space between.
struct Collector : EntrySink {
    void on_entry(const Entry& entry) override {
        text += text.empty() ? "" : " ";
        text += entry.line;
        last_comm = entry.writer ? entry.writer->comm : std::string_view();
        last_id = entry.partial ? entry.partial->id : std::string_view();
    }
    std::string text;
    std::string last_comm;
    std::string last_id;
};

struct Nowhere : StreamSink {
    void on_bytes(std::uint64_t, std::string_view, const Origin&) override {}
    void on_gap(std::uint64_t, std::uint64_t, GapReason, std::uint64_t) override {}
};

// Two streams that a test can keep waiting; times count from one moment.
struct Fed {
    void put(Source source, std::string_view line, std::uint64_t time) {
        Entry entry;
        entry.source = source;
        entry.line = line;
        entry.time_ns = wall_time(begin + time);
        merger.input(source).on_entry(entry);
    }
    // A write of that time came in, and what stands before it did not.
    void hold(Source source, std::uint64_t time) {
        WriteAssembler& assembler = source == Source::stdout_ ? out_stream : err_stream;
        assembler.written(1, "x", 1, GapReason::ring_full, Origin{begin + time, {}});
        merger.watch(source, assembler);
    }
    void let_go(Source source) {
        (source == Source::stdout_ ? out_stream : err_stream).settle({.written = 2});
    }

    std::uint64_t begin = boot_time_now();
    Nowhere nowhere;
    WriteAssembler out_stream{nowhere};
    WriteAssembler err_stream{nowhere};
    Collector out;
    EntryMerger merger{out};
};

constexpr Source out = Source::stdout_;
constexpr Source err = Source::stderr_;

}  // namespace

TEST_CASE("merged entries pass at once where nothing older can come") {
    Fed fed;
    fed.put(out, "o", 5);
    fed.put(err, "e", 3);
    CHECK(fed.out.text == "o e");
    CHECK_FALSE(fed.merger.waits());
    fed.hold(err, 10);
    fed.put(out, "same", 10);
    CHECK(fed.out.text == "o e same");
}

TEST_CASE("a merged entry waits for what is older in the other stream") {
    Fed fed;
    fed.hold(err, 10);
    fed.put(out, "o", 20);
    CHECK(fed.out.text.empty());
    CHECK(fed.merger.waits());
    fed.let_go(err);
    fed.put(err, "e", 10);
    fed.merger.release(fed.begin);
    CHECK(fed.out.text == "e o");
    CHECK_FALSE(fed.merger.waits());
}

TEST_CASE("merged entries of one stream stay in its order, whatever their times") {
    Fed fed;
    fed.hold(err, 10);
    fed.put(out, "first", 20);
    fed.put(out, "second", 5);
    CHECK(fed.out.text.empty());
    fed.merger.flush();
    CHECK(fed.out.text == "first second");
}

TEST_CASE("of merged entries of the same time those of stdout are first") {
    Fed fed;
    fed.hold(out, 10);
    fed.hold(err, 10);
    fed.put(err, "e", 20);
    fed.put(out, "o", 20);
    CHECK(fed.out.text.empty());
    fed.merger.flush();
    CHECK(fed.out.text == "o e");
}

TEST_CASE("a merged entry does not wait for one of the same time") {
    Fed fed;
    fed.hold(out, 10);
    fed.put(err, "e", 20);
    fed.let_go(out);
    fed.put(out, "o", 20);
    CHECK(fed.out.text == "o");
    fed.put(out, "later", 21);
    CHECK(fed.out.text == "o");
    fed.merger.release(fed.begin);
    CHECK(fed.out.text == "o e later");
}

TEST_CASE("nothing waits long to be merged") {
    Fed fed;
    fed.hold(err, 10);
    fed.put(out, "o", 20);
    const std::uint64_t since = boot_time_now();
    fed.merger.release(fed.begin + 99 * ms);
    CHECK(fed.out.text.empty());
    fed.merger.release(since + 100 * ms);
    CHECK(fed.out.text == "o");
}

TEST_CASE("entries that wait to be merged own their texts") {
    Fed fed;
    fed.hold(err, 10);
    {
        std::string line = "some line that is longer than what a string holds in itself";
        std::string comm = "writer";
        std::string id(64, 'a');
        Entry entry;
        entry.line = line;
        entry.time_ns = wall_time(fed.begin + 20);
        entry.partial = Partial{id, 1, false};
        entry.writer = Writer{1, 1, comm, 1};
        fed.merger.input(out).on_entry(entry);
        for (std::string* text : {&line, &comm, &id}) text->assign(text->size(), '?');
    }
    fed.merger.flush();
    CHECK(fed.out.text == "some line that is longer than what a string holds in itself");
    CHECK(fed.out.last_comm == "writer");
    CHECK(fed.out.last_id == std::string(64, 'a'));
}
