// What one daemon saves the next one finds, whichever write a crash came behind.
#include "daemon/checkpoint.h"

#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

struct Lines : EntrySink {
    void on_entry(const Entry& entry) override {
        text += std::string(entry.line) + "|";
        id = entry.partial ? entry.partial->id : std::string_view();
        ordinal = entry.partial ? entry.partial->ordinal : 0;
        time_ns = entry.time_ns;
        comm = entry.writer ? entry.writer->comm : std::string_view();
    }
    std::string text;
    // Of the last one.
    std::string id;
    std::int32_t ordinal = 0;
    std::int64_t time_ns = 0;
    std::string comm;
};

// A run's stdout, and the checkpoint that a daemon keeps of it.
class Kept {
 public:
    Kept() {
        splitter_.emplace(lines, Source::stdout_, 3);
        Checkpoint::Head head{.instance = 5, .run = 3, .start = {}};
        head.start.run = 11;
        head.start.files[1].slot = 77;
        std::array<StreamCounters, 2> before;
        before[1].lost = 4;
        auto made = Checkpoint::create(directory.path(), head, before);
        REQUIRE(made);
        checkpoint_.emplace(std::move(*made));
    }

    void take(std::string_view bytes) {
        const Writer writer{7, 8, "writer", 9};
        splitter_->bytes(done_, bytes, static_cast<std::int64_t>(1000 + done_), writer);
        done_ += bytes.size();
        counters.bytes = done_;
    }
    void save() {
        REQUIRE(checkpoint_->save(
            std::array{Checkpoint::Stream{Source::stdout_, done_, counters, *splitter_}}));
    }
    void save(std::string_view bytes) {
        take(bytes);
        save();
    }
    // The daemon is killed, and the next one goes on with what is in the file.
    void crash() {
        checkpoint_.emplace(load());
        done_ = checkpoint_->progress(Source::stdout_).done;
        splitter_.emplace(lines, Source::stdout_, 3);
        splitter_->resume(checkpoint_->begun(Source::stdout_));
    }
    [[nodiscard]] Checkpoint load() const {
        auto all = Checkpoint::load_all(directory.path());
        REQUIRE(all.size() == 1);
        REQUIRE(all.front());
        return std::move(*all.front());
    }
    [[nodiscard]] std::string begun() const { return load().begun(Source::stdout_).line; }

    [[nodiscard]] std::string path() const { return directory / "checkpoint.3"; }
    // What is told of the lines, apart from the lines.
    [[nodiscard]] std::string head() const { return contents_of(path()).substr(0, head_size); }
    void put_head(const std::string& head) const {
        put_file(path(), head + contents_of(path()).substr(head_size));
    }

    TempDirectory directory;
    Lines lines;
    StreamCounters counters;

 private:
    static constexpr std::size_t head_size = 4096;

    std::optional<LineSplitter> splitter_;
    std::optional<Checkpoint> checkpoint_;
    std::uint64_t done_ = 0;
};

}  // namespace

TEST_CASE("checkpoint: what was saved is found") {
    Kept kept;
    CHECK(kept.load().head().instance == 5);
    CHECK(kept.load().head().run == 3);
    CHECK(kept.load().head().start.files[1].slot == 77);
    CHECK(kept.load().progress(Source::stdout_).done == 0);
    CHECK(kept.load().progress(Source::stderr_).lost == 4);
    CHECK(kept.begun().empty());

    kept.counters = {.lost = 1, .gaps = 2, .skipped = 3, .last_write_ns = 4};
    kept.save("whole\nbegun");
    const Checkpoint found = kept.load();
    CHECK(found.progress(Source::stdout_).done == 11);
    CHECK(found.progress(Source::stderr_).done == 0);
    StreamCounters counters;
    found.progress(Source::stdout_).apply_to(counters);
    CHECK(counters.bytes == 11);
    CHECK(counters.lost == 1);
    CHECK(counters.gaps == 2);
    CHECK(counters.skipped == 3);
    CHECK(counters.last_write_ns == 4);
    CHECK(found.begun(Source::stdout_).position == 6);
    CHECK(found.begun(Source::stdout_).line == "begun");
    CHECK(found.begun(Source::stderr_).line.empty());
}

TEST_CASE("checkpoint: a line goes on where it was begun") {
    Kept kept;
    SECTION("as it came") {
        kept.save("begun");
        kept.crash();
        kept.take(" ended\n");
        CHECK(kept.lines.text == "begun ended|");
        CHECK(kept.lines.comm == "writer");
    }
    SECTION("by its last writer, if nothing more comes but its end") {
        kept.save("begun");
        kept.crash();
        kept.save("\n");
        kept.crash();
        kept.take("next\n");
        CHECK(kept.lines.text == "begun|next|");
    }
    SECTION("in pieces") {
        kept.save(std::string(LineSplitter::piece_size, 'x'));
        const std::string id = kept.lines.id;
        REQUIRE(id.size() == 64);
        kept.crash();
        kept.save("more");
        kept.crash();
        kept.take("\n");
        CHECK(kept.lines.text == std::string(LineSplitter::piece_size, 'x') + "|more|");
        CHECK(kept.lines.id == id);
        CHECK(kept.lines.ordinal == 2);
        CHECK(kept.lines.time_ns == 1000);
    }
}

TEST_CASE("checkpoint: a line that has ended is not begun") {
    Kept kept;
    kept.save("begun");
    kept.save(" ended\n");
    CHECK(kept.begun().empty());
    CHECK(kept.load().progress(Source::stdout_).done == 12);
}

TEST_CASE("checkpoint: a crash between two writes leaves the state before") {
    Kept kept;
    kept.save("a");
    // Each time the line is written and what tells of it is not; it is found as it was before.
    std::string line = "a";
    for (const char next : {'b', 'c', 'd', 'e'}) {
        const std::string head = kept.head();
        kept.save(std::string(1, next));
        kept.put_head(head);
        CHECK(kept.begun() == line);
        kept.crash();
        // And again by the daemon after it.
        kept.save("??");
        kept.put_head(head);
        CHECK(kept.begun() == line);
        kept.crash();
        kept.save(std::string(1, next));
        line += next;
        CHECK(kept.begun() == line);
    }
}

TEST_CASE("checkpoint: a line that is damaged is none") {
    Kept kept;
    kept.save("begun line");
    const std::string good = contents_of(kept.path());
    const std::size_t at = good.find("begun line");
    REQUIRE(at != std::string::npos);
    std::string bad = good;
    bad[at + 3] = 'X';
    put_file(kept.path(), bad);
    CHECK(kept.begun().empty());
    // Half of it was written.
    put_file(kept.path(), good.substr(0, at + 4));
    CHECK(kept.begun().empty());
    put_file(kept.path(), good);
    CHECK(kept.begun() == "begun line");
}

TEST_CASE("checkpoint: only whole ones of this version are taken up") {
    const Kept kept;
    const std::string good = contents_of(kept.path());
    const std::string other = GENERATE("", "short", "TWCKPT01");
    put_file(kept.path(), other.size() == 8 ? other + good.substr(8) : other);
    const auto all = Checkpoint::load_all(kept.directory.path());
    REQUIRE(all.size() == 1);
    REQUIRE_FALSE(all.front());
    CHECK(all.front().error().message().find("checkpoint.3") != std::string::npos);
    // One of a later layout has the same beginning.
    std::string layout = good;
    ++layout[20];
    put_file(kept.path(), layout);
    CHECK_FALSE(Checkpoint::load_all(kept.directory.path()).front());
}

TEST_CASE("checkpoint: of the files in the directory only checkpoints are touched") {
    const Kept kept;
    for (const char* const name : {"checkpoint.4.new", "checkpoint.x", "checkpoint.", "other"}) {
        put_file(kept.directory / name, "text");
    }
    CHECK(Checkpoint::load_all(kept.directory.path()).size() == 1);
    CHECK_FALSE(fs::exists(kept.directory / "checkpoint.4.new"));
    REQUIRE(kept.load().remove());
    CHECK_FALSE(fs::exists(kept.path()));
    put_file(kept.directory / "checkpoint.5", "text");
    REQUIRE(Checkpoint::remove_all(kept.directory.path()));
    CHECK_FALSE(fs::exists(kept.directory / "checkpoint.5"));
    for (const char* const name : {"checkpoint.x", "checkpoint.", "other"}) {
        CHECK(fs::exists(kept.directory / name));
    }
}
