// What a log holds behind its checkpoint, and how much of the log is read for it.
#include "daemon/log_ahead.h"

#include <catch2/catch.hpp>

#include "base/file_system.h"
#include "temp_directory.h"

using namespace twinlog;

namespace {

constexpr std::uint64_t line_bytes = 10;
constexpr std::int64_t second = 1'000'000'000;

class Log {
 public:
    Log() { writer_ = *LogWriter::open(real_file_system(), directory_.path(), {}, {}); }

    void write(Source source, std::uint32_t run, std::uint64_t lines) {
        std::uint64_t& position = positions_.at(static_cast<std::size_t>(source));
        for (; lines > 0; --lines, position += line_bytes) {
            writer_->append(Entry{.source = source,
                                  .time_ns = now_ns,
                                  .line = "123456789",
                                  .run = run,
                                  .position = position});
        }
        REQUIRE(writer_->flush());
    }
    void piece(std::uint32_t run, std::int32_t ordinal, bool last) {
        writer_->append(Entry{.source = Source::stdout_,
                              .time_ns = now_ns,
                              .line = "123456789",
                              .partial = Partial{"a line", ordinal, last},
                              .run = run,
                              .position = positions_[0]});
        positions_[0] += last ? line_bytes : line_bytes - 1;
        REQUIRE(writer_->flush());
    }
    void gap(std::uint32_t run, std::uint64_t bytes) {
        writer_->append(Entry{.source = Source::stdout_,
                              .time_ns = now_ns,
                              .run = run,
                              .position = positions_[0],
                              .gap = Gap{bytes, GapReason::store}});
        positions_[0] += bytes;
        REQUIRE(writer_->flush());
    }
    void new_run() { positions_ = {}; }
    LogAhead look(const SavedRun& saved) {
        writer_.reset();
        writer_ = *LogWriter::open(real_file_system(), directory_.path(), {}, {});
        return look(saved, writer_->recovery());
    }
    // live: what is known of the live file.
    LogAhead look(const SavedRun& saved, const Recovery& live) {
        return *look_ahead(directory_.path(), saved, live);
    }

    std::int64_t now_ns = 1'700'000'000 * second;

 private:
    TempDirectory directory_;
    std::unique_ptr<LogWriter> writer_;
    std::array<std::uint64_t, 2> positions_{};
};

}  // namespace

TEST_CASE("log ahead: of a stream that says nothing the end of the log is enough", "[log_ahead]") {
    Log log;
    log.write(Source::stdout_, 1, 20'000);
    SavedRun saved{.run = 1, .since_ns = log.now_ns, .streams = {}};
    saved.streams[0] = {200'000, 200'000};
    const LogAhead ahead = log.look(saved);
    CHECK(ahead.streams[0].in_log == 200'000);
    CHECK(ahead.streams[1].in_log == 0);
    CHECK(ahead.read <= 256);
}

TEST_CASE("log ahead: a run that has said nothing does not read what others said", "[log_ahead]") {
    Log log;
    log.write(Source::stdout_, 1, 20'000);
    const LogAhead ahead =
        log.look({.run = 2, .since_ns = log.now_ns + 11 * second, .streams = {}});
    CHECK(ahead.streams[0].in_log == 0);
    CHECK(ahead.read <= 256);
}

TEST_CASE("log ahead: what came behind the checkpoint is found, however much", "[log_ahead]") {
    Log log;
    log.write(Source::stdout_, 1, 5000);
    log.new_run();
    log.now_ns += second;
    log.write(Source::stdout_, 2, 100);
    SavedRun saved{.run = 2, .since_ns = log.now_ns, .streams = {}};
    saved.streams[0] = {1005, 1000};
    log.write(Source::stderr_, 2, 1);
    log.gap(2, 7);
    log.write(Source::stdout_, 2, 10'000);
    const LogAhead ahead = log.look(saved);
    CHECK(ahead.streams[0].in_log == 101'007);
    CHECK(ahead.streams[1].in_log == 10);
    // It stands where the checkpoint knows the beginning of a line.
    CHECK(ahead.streams[0].gaps == 0);
    saved.streams[0] = {1000, 1000};
    CHECK(log.look(saved).streams[0].gaps == 1);
    CHECK(log.look(saved).streams[0].lost == 7);
}

TEST_CASE("log ahead: a stream that the live file lacks is looked for", "[log_ahead]") {
    Log log;
    log.write(Source::stdout_, 1, 10);
    SavedRun saved{.run = 1, .since_ns = log.now_ns, .streams = {}};
    saved.streams[0] = {100, 100};
    log.write(Source::stderr_, 1, 1);
    // As if it stood in a file that was rotated.
    CHECK(log.look(saved, {.last_run = 1, .next_positions = {100, 0}}).streams[1].in_log == 10);
}

TEST_CASE("log ahead: a line that had begun is not known itself", "[log_ahead]") {
    Log log;
    log.write(Source::stdout_, 1, 10);
    SavedRun saved{.run = 1, .since_ns = log.now_ns, .streams = {}};
    saved.streams[0] = {105, 100};
    log.write(Source::stderr_, 1, 1);
    // As many as are read first: they begin with that line.
    log.write(Source::stdout_, 1, 256);
    CHECK(log.look(saved).streams[1].in_log == 10);
}

TEST_CASE("log ahead: the end of a line that had begun is not taken for known", "[log_ahead]") {
    Log log;
    log.write(Source::stdout_, 1, 10);
    SavedRun saved{.run = 1, .since_ns = log.now_ns, .streams = {}};
    log.write(Source::stderr_, 1, 1);
    log.write(Source::stdout_, 1, 300);
    // All of it had come in, and nothing of it was in the log.
    saved.streams[0] = {3100, 100};
    CHECK(log.look(saved).streams[1].in_log == 10);
}

TEST_CASE("log ahead: what stands between the pieces of a line is not passed over", "[log_ahead]") {
    Log log;
    log.write(Source::stdout_, 1, 10);
    log.piece(1, 1, false);
    SavedRun saved{.run = 1, .since_ns = log.now_ns, .streams = {}};
    saved.streams[0] = {109, 109};
    log.write(Source::stderr_, 1, 1);
    log.piece(1, 2, true);
    log.write(Source::stdout_, 1, 255);
    CHECK(log.look(saved).streams[1].in_log == 10);
}
