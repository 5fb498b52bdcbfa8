// How much of a log is read for what is asked: counted in bytes, because time depends on the
// machine.
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "format/docker_local.h"
#include "read/log_reader.h"
#include "store/gzip.h"
#include "store/rotation.h"
#include "temp_directory.h"

using namespace twinlog;

namespace {

constexpr std::int64_t begin_ns = 1'795'000'000'000'000'000;
constexpr std::int64_t millisecond = 1'000'000;
constexpr int lines = 200'000;
constexpr std::uint64_t mib = std::uint64_t{1} << 20U;

// What this process has read so far, by whatever system call.
std::uint64_t bytes_read() {
    std::ifstream io("/proc/self/io");
    std::string key;
    std::uint64_t value = 0;
    REQUIRE(io >> key >> value);
    REQUIRE(key == "rchar:");
    return value;
}

std::string frames(int from, int to) {
    std::string bytes;
    for (int i = from; i < to; ++i) {
        const std::string text = "line " + std::to_string(i) + std::string(90, '.');
        Entry entry;
        entry.time_ns = begin_ns + i * millisecond;
        entry.line = text;
        docker_local::append(entry, bytes);
    }
    return bytes;
}

struct Log {
    TempDirectory directory;
    [[nodiscard]] std::string path() const { return directory / "container-cached.log"; }
};

struct Read {
    std::uint64_t bytes = 0;
    std::uint64_t entries = 0;
};

Read read(const Log& log, const ReadOptions& options) {
    const std::uint64_t before = bytes_read();
    auto reader = LogReader::open(log.directory.path(), options);
    REQUIRE(reader);
    Read done;
    for (;;) {
        const auto step = reader->next();
        REQUIRE(step);
        if (*step == LogReader::Step::end) break;
        REQUIRE(*step == LogReader::Step::entry);
        ++done.entries;
    }
    done.bytes = bytes_read() - before;
    return done;
}

}  // namespace

TEST_CASE("read volume: tail and since read what they show", "[read_volume]") {
    const Log log;
    put_file(log.path(), frames(0, lines));
    const std::uint64_t size = std::filesystem::file_size(log.path());
    REQUIRE(size > 24 * mib);

    const Read all = read(log, {});
    CHECK(all.entries == lines);
    CHECK(all.bytes >= size);
    CHECK(all.bytes < size + mib);

    const Read tail = read(log, {.tail = 100});
    CHECK(tail.entries == 100);
    CHECK(tail.bytes < mib);

    const Read none = read(log, {.tail = 0});
    CHECK(none.entries == 0);
    CHECK(none.bytes < mib);

    const Read since = read(log, {.since_ns = begin_ns + (lines - 1000) * millisecond});
    CHECK(since.entries == 1000);
    CHECK(since.bytes < 4 * mib);

    const Read later = read(log, {.since_ns = begin_ns + (lines + 5000) * millisecond});
    CHECK(later.entries == 0);
    CHECK(later.bytes < 4 * mib);

    const Read until = read(log, {.until_ns = begin_ns + 999 * millisecond});
    CHECK(until.entries == 1000);
    CHECK(until.bytes < mib);
}

TEST_CASE("read volume: files of other times are not read", "[read_volume]") {
    const Log log;
    // Two compressed ones, a plain one, and the live one.
    Rotation rotation(real_file_system(), log.path(), 9, docker_local::format());
    const std::atomic<bool> stop = false;
    for (int file = 0; file < 4; ++file) {
        if (file > 0) REQUIRE(rotation.rotate());
        if (file == 2) rotation.compress(stop);
        put_file(log.path(), frames(file * lines / 4, (file + 1) * lines / 4));
    }
    const Read all = read(log, {});
    CHECK(all.entries == lines);
    const Read since = read(log, {.since_ns = begin_ns + (lines - 1000) * millisecond});
    CHECK(since.entries == 1000);
    CHECK(since.bytes < 4 * mib);
    const Read tail = read(log, {.tail = 100});
    CHECK(tail.entries == 100);
    CHECK(tail.bytes < mib);
}
