// Writing a container's log: rotation, crashes, full disks.
#include "store/log_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/workers.h"
#include "format/docker_local.h"
#include "format/raw.h"
#include "real_files.h"
#include "store/layout.h"
#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

// The real one, with a disk that can be full and calls that can fail.
class FailingFileSystem : public RealFiles {
 public:
    std::optional<std::uint64_t> room;      // bytes until the disk is full
    std::size_t most_per_write = SIZE_MAX;  // short writes beyond that
    int write_error = ENOSPC;               // what a full disk says
    bool write_takes_nothing = false;
    bool truncate_fails = false;
    bool open_fails = false;
    bool rename_fails = false;
    int interrupts = 0;  // that many writes end with EINTR
    int writes = 0;

    Result<UniqueFd> open_log(const std::string& path, mode_t mode) override {
        if (open_fails) return fail(Error{path, "opening it", ENOSPC, {}});
        return RealFiles::open_log(path, mode);
    }
    ssize_t write(int fd, std::string_view bytes) override {
        ++writes;
        if (interrupts > 0) {
            --interrupts;
            errno = EINTR;
            return -1;
        }
        if (write_takes_nothing) return 0;
        bytes = bytes.substr(0, most_per_write);
        if (room) {
            if (*room == 0) {
                errno = write_error;
                return -1;
            }
            bytes = bytes.substr(0, *room);
            *room -= bytes.size();
        }
        return RealFiles::write(fd, bytes);
    }
    int truncate(int fd, std::uint64_t size) override {
        if (truncate_fails) {
            errno = EIO;
            return -1;
        }
        return RealFiles::truncate(fd, size);
    }
    Status rename(const std::string& from, const std::string& to) override {
        if (rename_fails) return fail(Error{from, "renaming it", EROFS, {}});
        return RealFiles::rename(from, to);
    }
};

// One container's directory and what a test does with it.
struct Log {
    TempDirectory directory;
    FailingFileSystem files;

    [[nodiscard]] std::string path(int number = 0) const {
        return directory / layout::log_name(number);
    }
    [[nodiscard]] std::string bytes(int number = 0) const { return contents_of(path(number)); }
    std::unique_ptr<LogWriter> open(const LogWriter::Options& options = {}) {
        auto writer = LogWriter::open(files, directory.path(), options);
        INFO((writer ? std::string() : writer.error().message()));
        REQUIRE(writer);
        return std::move(*writer);
    }
};

Entry entry_of(std::string_view line, std::uint64_t position = 0, Source source = Source::stdout_) {
    Entry entry;
    entry.source = source;
    entry.time_ns = 1795478628774271306;
    entry.line = line;
    entry.run = 1;
    entry.position = position;
    return entry;
}

std::string encode(const Entry& entry) {
    std::string bytes;
    docker_local::append(entry, bytes);
    return bytes;
}

// Lines as they are, gaps as <source position+bytes reason>; fails if anything is no whole entry.
std::vector<std::string> texts(std::string_view bytes) {
    std::vector<std::string> result;
    while (!bytes.empty()) {
        const auto frame = docker_local::decode(bytes);
        REQUIRE(frame.state == docker_local::FrameState::whole);
        REQUIRE(frame.known_source);
        const Entry& entry = frame.entry;
        if (entry.gap) {
            result.push_back("<" + std::string(source_name(entry.source)) + " " +
                             std::to_string(entry.position) + "+" +
                             std::to_string(entry.gap->bytes) + " " +
                             std::string(gap_reason_text(entry.gap->reason)) + ">");
        } else {
            result.emplace_back(entry.line);
        }
        bytes.remove_prefix(frame.size);
    }
    return result;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("log writer: a batch is one write", "[log_writer]") {
    Log log;
    auto writer = log.open();
    CHECK_FALSE(writer->has_pending());
    for (int i = 0; i < 100; ++i) writer->append(entry_of("line " + std::to_string(i)));
    CHECK(writer->has_pending());
    CHECK(log.bytes().empty());
    REQUIRE(writer->flush());
    CHECK_FALSE(writer->has_pending());
    CHECK(log.files.writes == 1);
    CHECK(texts(log.bytes()).size() == 100);
    REQUIRE(writer->flush());
    CHECK(log.files.writes == 1);
    CHECK((fs::status(log.path()).permissions() & ~fs::perms(0640)) == fs::perms::none);
}

TEST_CASE("log writer: memory is bounded without a flush", "[log_writer]") {
    Log log;
    auto writer = log.open({.max_size = 0, .max_file = 1});
    const std::string line(1000, 'x');
    for (int i = 0; i < 2000; ++i) {
        writer->append(entry_of(line));
        REQUIRE(writer->pending_bytes() <= LogWriter::buffer_limit);
    }
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes()).size() == 2000);

    // What fails then is told by the next flush.
    log.files.room = 0;
    for (int i = 0; i < 500; ++i) writer->append(entry_of(line));
    log.files.room.reset();
    const Status failed = writer->flush();
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == ENOSPC);
    CHECK(writer->flush());
}

TEST_CASE("log writer: interrupted and short writes go on", "[log_writer]") {
    Log log;
    log.files.most_per_write = 7;
    log.files.interrupts = 3;
    auto writer = log.open();
    writer->append(entry_of("one"));
    writer->append(entry_of("two"));
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes()) == Texts{"one", "two"});
}

TEST_CASE("log writer: files exceed the size by one entry at most", "[log_writer]") {
    const std::string line(100, 'x');
    const std::size_t entry_size = encode(entry_of(line)).size();
    // The same whether entries come one by one or in a batch.
    const int batch = GENERATE(1, 7, 1000);
    Log log;
    constexpr std::int64_t max_size = 1000;
    auto writer = log.open({.max_size = max_size, .max_file = 3});
    for (int i = 0; i < 50; ++i) {
        writer->append(entry_of(line));
        if (i % batch == batch - 1) REQUIRE(writer->flush());
    }
    REQUIRE(writer->flush());
    const std::size_t per_file = (max_size + entry_size - 1) / entry_size;
    CHECK(log.bytes(2).size() == per_file * entry_size);
    CHECK(log.bytes(1).size() == per_file * entry_size);
    CHECK(log.bytes(1).size() < max_size + entry_size);
    CHECK(log.bytes(0).size() == (50 % per_file == 0 ? per_file : 50 % per_file) * entry_size);
    CHECK_FALSE(fs::exists(log.path(3)));
}

TEST_CASE("log writer: rotation shifts the files and drops the oldest", "[log_writer]") {
    Log log;
    auto writer = log.open({.max_size = 1, .max_file = 3});  // an entry a file
    for (const char* const line : {"a", "b", "c", "d"}) writer->append(entry_of(line));
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes(0)) == Texts{"d"});
    CHECK(texts(log.bytes(1)) == Texts{"c"});
    CHECK(texts(log.bytes(2)) == Texts{"b"});
    CHECK_FALSE(fs::exists(log.path(3)));
}

TEST_CASE("log writer: a size exactly reached rotates before the next entry", "[log_writer]") {
    Log log;
    const auto size = static_cast<std::int64_t>(encode(entry_of("a")).size());
    auto writer = log.open({.max_size = 2 * size, .max_file = 2});
    for (const char* const line : {"a", "b"}) writer->append(entry_of(line));
    REQUIRE(writer->flush());
    CHECK_FALSE(fs::exists(log.path(1)));
    writer = log.open({.max_size = 2 * size, .max_file = 2});
    CHECK_FALSE(fs::exists(log.path(1)));
    writer->append(entry_of("c"));
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes(0)) == Texts{"c"});
    CHECK(texts(log.bytes(1)) == Texts{"a", "b"});
}

TEST_CASE("log writer: one file begins anew, no size never rotates", "[log_writer]") {
    Log log;
    {
        auto writer = log.open({.max_size = 1, .max_file = 1});
        for (const char* const line : {"a", "b", "c"}) writer->append(entry_of(line));
        REQUIRE(writer->flush());
        CHECK(texts(log.bytes()) == Texts{"c"});
        CHECK_FALSE(fs::exists(log.path(1)));
    }
    auto writer = log.open({.max_size = -1, .max_file = 3});
    for (int i = 0; i < 100; ++i) writer->append(entry_of(std::string(1000, 'x')));
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes()).size() == 101);
    CHECK_FALSE(fs::exists(log.path(1)));
}

TEST_CASE("log writer: a torn last entry is cut, at every byte", "[log_writer]") {
    const std::string before = encode(entry_of("one")) + encode(entry_of("two", 4));
    Entry piece = entry_of("the last", 8, Source::stderr_);
    piece.partial = Partial{"0123456789abcdef", 1, false};
    piece.writer = Writer{1, 2, "sh"};
    const std::string last = encode(piece);
    for (std::size_t size = 0; size < last.size(); ++size) {
        for (const std::size_t zeros : {0, 1, 8, 5000}) {
            INFO(size << " bytes, then " << zeros << " zeros");
            Log log;
            const std::string torn = last.substr(0, size) + std::string(zeros, '\0');
            put_file(log.path(), before + torn);
            auto writer = log.open();
            // The whole entry may be there when its own last bytes are zeros; it never is here.
            CHECK(log.bytes() == before);
            CHECK(writer->recovery().cut_bytes == torn.size());
            CHECK_FALSE(writer->recovery().gave_up_file);
            CHECK(writer->recovery().describe().empty() == torn.empty());
            writer->append(entry_of("three", 8));
            REQUIRE(writer->flush());
            CHECK(texts(log.bytes()) == Texts{"one", "two", "three"});
        }
    }
}

TEST_CASE("log writer: frames forged in a torn line are not believed", "[log_writer]") {
    std::string forged;
    for (int i = 0; i < 20; ++i) forged += encode(entry_of("forged"));
    const std::string before = encode(entry_of(forged));
    const std::string torn = encode(entry_of("x" + forged));
    const std::size_t step = encode(entry_of("forged")).size();
    // Torn where a forged frame ends.
    const std::size_t head = torn.find(forged);
    for (std::size_t frames = 1; frames < 20; ++frames) {
        Log log;
        put_file(log.path(), before + torn.substr(0, head + frames * step));
        auto writer = log.open();
        CHECK(log.bytes() == before);
        CHECK_FALSE(writer->recovery().gave_up_file);
    }
}

TEST_CASE("log writer: a damaged file is put aside", "[log_writer]") {
    const std::string one = encode(entry_of("one"));
    const std::string two = encode(entry_of("two", 4));
    std::string lies = two;
    lies[2] = '\x30';  // a length of 12 KiB more: not to be taken for a torn entry
    const std::string damaged =
        GENERATE_COPY(one + "garbage" + two, "garbage", one + lies + two, one + lies,
                      one + two.substr(0, 10) + two, one + std::string(8, '\0') + two);
    Log log;
    put_file(log.path(), damaged);
    put_file(log.path(1), one);
    auto writer = log.open({.max_size = 1000, .max_file = 3});
    CHECK(writer->recovery().gave_up_file);
    CHECK_FALSE(writer->recovery().describe().empty());
    CHECK(log.bytes(0).empty());
    CHECK(log.bytes(1) == damaged);
    CHECK(log.bytes(2) == one);
    writer->append(entry_of("three", 8));
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes()) == Texts{"three"});
}

TEST_CASE("log writer: with one file only what follows the damage goes", "[log_writer]") {
    const std::string one = encode(entry_of("one"));
    Log log;
    put_file(log.path(), one + "garbage" + one);
    auto writer = log.open({.max_size = 1000, .max_file = 1});
    CHECK_FALSE(writer->recovery().gave_up_file);
    CHECK(writer->recovery().cut_bytes == 7 + one.size());
    CHECK(log.bytes() == one);
}

TEST_CASE("log writer: any flipped byte leaves a log that works", "[log_writer]") {
    std::string good;
    for (int i = 0; i < 4; ++i) good += encode(entry_of("line " + std::to_string(i)));
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
            INFO(at << " ^ " << flip);
            Log log;
            std::string bad = good;
            bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ flip);
            put_file(log.path(), bad);
            auto writer = log.open();
            writer->append(entry_of("next"));
            REQUIRE(writer->flush());
            const std::string after = log.bytes();
            CHECK(after.size() >= encode(entry_of("next")).size());
            CHECK(after.ends_with(encode(entry_of("next"))));
        }
    }
}

TEST_CASE("log writer: recovery knows run and positions", "[log_writer]") {
    Log log;
    Entry old = entry_of("old", 1000, Source::stderr_);
    {
        auto writer = log.open({.max_size = 1, .max_file = 3});
        CHECK(writer->recovery().last_run == 0);
        writer->append(old);
        REQUIRE(writer->flush());
    }
    {
        auto writer = log.open();
        CHECK(writer->recovery().last_run == 1);
        CHECK(writer->recovery().next_positions == std::array<std::uint64_t, 2>{0, 1004});
        Entry line = entry_of("hello", 0);
        line.run = 2;
        writer->append(line);
        Entry piece = entry_of("tail", 6);
        piece.run = 2;
        piece.partial = Partial{"id", 1, false};
        writer->append(piece);
        REQUIRE(writer->flush());
    }
    {
        // Where the other stream was belongs to the run before.
        auto writer = log.open();
        CHECK(writer->recovery().next_positions == std::array<std::uint64_t, 2>{10, 0});
        Entry gap = entry_of("", 50, Source::stderr_);
        gap.run = 2;
        gap.gap = Gap{7, GapReason::ring_full};
        writer->append(gap);
        REQUIRE(writer->flush());
    }
    {
        auto writer = log.open();
        CHECK(writer->recovery().last_run == 2);
        CHECK(writer->recovery().next_positions == std::array<std::uint64_t, 2>{10, 57});
    }
    // The live file was begun a moment ago.
    fs::rename(log.path(0), log.path(1));
    const auto begun = log.open();
    CHECK(begun->recovery().last_run == 2);
    CHECK(begun->recovery().next_positions == std::array<std::uint64_t, 2>{10, 57});
}

TEST_CASE("log writer: a full disk costs what is told, to the byte", "[log_writer]") {
    const std::string first = encode(entry_of("one", 0));
    // Wherever in the batch the disk becomes full.
    for (std::size_t room = 0; room <= 3 * first.size(); ++room) {
        INFO(room);
        Log log;
        auto writer = log.open();
        log.files.room = room;
        writer->append(entry_of("one", 0));
        writer->append(entry_of("two", 4));
        writer->append(entry_of("six", 100, Source::stderr_));
        Entry piece = entry_of("par", 8);
        piece.partial = Partial{"id", 1, false};
        writer->append(piece);
        const Status failed = writer->flush();
        REQUIRE_FALSE(failed);
        CHECK(failed.error().code == ENOSPC);
        CHECK(failed.error().subject == log.path());
        const Texts kept = texts(log.bytes());  // only whole entries
        CHECK(kept.size() < 4);
        CHECK(writer->has_pending());
        CHECK(writer->dropped_bytes() == 15 - 4 * kept.size());
        const auto dropped = writer->take_dropped();
        CHECK(dropped[0].bytes + dropped[1].bytes == writer->dropped_bytes());
        CHECK(dropped[0].places == 1);
        CHECK(dropped[1].places == (kept.size() < 3 ? 1 : 0));

        // More is lost while the disk stays full, without another error.
        log.files.room = 0;
        Entry end = entry_of("t", 11);
        end.partial = Partial{"id", 2, true};
        writer->append(end);
        CHECK(writer->flush());
        CHECK(writer->flush());
        CHECK(texts(log.bytes()) == kept);
        // Each byte counts once, however often its gap cannot be written either.
        CHECK(writer->take_dropped()[0].bytes == 2);
        CHECK(writer->take_dropped()[0].bytes == 0);

        log.files.room.reset();
        writer->append(entry_of("after", 13));
        REQUIRE(writer->flush());
        CHECK(writer->dropped_bytes() == 0);
        CHECK_FALSE(writer->has_pending());
        Texts wanted = kept;
        const std::uint64_t position = std::min<std::size_t>(kept.size(), 2) * 4;
        const std::string gap_stdout = "<stdout " + std::to_string(position) + "+" +
                                       std::to_string(13 - position) +
                                       " the log could not be written>";
        wanted.push_back(gap_stdout);
        // In the order of the first entry that each of them lost.
        if (kept.size() == 2) {
            wanted.insert(wanted.end() - 1, "<stderr 100+4 the log could not be written>");
        } else if (kept.size() < 2) {
            wanted.emplace_back("<stderr 100+4 the log could not be written>");
        }
        wanted.emplace_back("after");
        CHECK(texts(log.bytes()) == wanted);
    }
}

TEST_CASE("log writer: the gap alone is written when nothing else comes", "[log_writer]") {
    Log log;
    auto writer = log.open();
    log.files.room = 0;
    log.files.write_error = EIO;
    writer->append(entry_of("lost", 7));
    CHECK(writer->flush().error().code == EIO);
    // Another reason is news.
    log.files.write_error = EDQUOT;
    CHECK(writer->flush().error().code == EDQUOT);
    log.files.room = 10;  // not enough for the gap entry
    CHECK(writer->flush());
    CHECK(log.bytes().empty());
    CHECK(writer->dropped_bytes() == 5);
    log.files.room.reset();
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes()) == Texts{"<stdout 7+5 the log could not be written>"});
    // The next outage is news again.
    log.files.room = 0;
    writer->append(entry_of("x", 12));
    CHECK_FALSE(writer->flush());
}

TEST_CASE("log writer: a gap that could not be written stays as large as it was", "[log_writer]") {
    Log log;
    auto writer = log.open();
    log.files.room = 0;
    Entry gap = entry_of("", 100);
    gap.gap = Gap{1000, GapReason::ring_full};
    writer->append(gap);
    Entry next_run = entry_of("abc", 0);
    next_run.run = 2;
    writer->append(next_run);
    CHECK_FALSE(writer->flush());
    CHECK(writer->flush());
    log.files.room.reset();
    // The gap was lost before.
    CHECK(writer->take_dropped()[0].bytes == 4);
    REQUIRE(writer->flush());
    // A run's positions begin at 0, so its loss is an entry of its own.
    CHECK(texts(log.bytes()) == Texts{"<stdout 100+1000 the log could not be written>",
                                      "<stdout 0+4 the log could not be written>"});
}

TEST_CASE("log writer: a disk that takes nothing is an error, not a hang", "[log_writer]") {
    Log log;
    auto writer = log.open();
    log.files.write_takes_nothing = true;
    writer->append(entry_of("x"));
    CHECK(writer->flush().error().code == EIO);
}

TEST_CASE("log writer: nothing follows a torn entry that can't be cut", "[log_writer]") {
    Log log;
    auto writer = log.open({.max_size = 1000, .max_file = 3});
    writer->append(entry_of("one", 0));
    REQUIRE(writer->flush());
    log.files.room = 5;
    log.files.truncate_fails = true;
    writer->append(entry_of("two", 4));
    CHECK_FALSE(writer->flush());
    const std::string torn = log.bytes();
    CHECK(torn == encode(entry_of("one", 0)) + encode(entry_of("two", 4)).substr(0, 5));

    SECTION("neither cut nor put aside") {
        log.files.room.reset();
        log.files.rename_fails = true;
        writer->append(entry_of("six", 8));
        CHECK_FALSE(writer->flush());
        CHECK(log.bytes() == torn);
        log.files.rename_fails = false;
        log.files.truncate_fails = false;
        REQUIRE(writer->flush());
        CHECK(texts(log.bytes()) == Texts{"one", "<stdout 4+8 the log could not be written>"});
    }
    SECTION("put aside") {
        log.files.room.reset();
        REQUIRE(writer->flush());
        CHECK(log.bytes(1) == torn);
        CHECK(texts(log.bytes()) == Texts{"<stdout 4+4 the log could not be written>"});
    }
}

TEST_CASE("log writer: a new file that can't be made costs no old one", "[log_writer]") {
    Log log;
    auto writer = log.open({.max_size = 1, .max_file = 4});
    for (const char* const line : {"a", "b", "c"}) writer->append(entry_of(line));
    REQUIRE(writer->flush());
    log.files.open_fails = true;
    for (int i = 0; i < 5; ++i) {
        writer->append(entry_of("x", 10 + 2 * static_cast<std::uint64_t>(i)));
        static_cast<void>(writer->flush());
    }
    CHECK(texts(log.bytes(3)) == Texts{"a"});
    CHECK(texts(log.bytes(2)) == Texts{"b"});
    CHECK(texts(log.bytes(1)) == Texts{"c"});
    log.files.open_fails = false;
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes()) == Texts{"<stdout 10+10 the log could not be written>"});
}

TEST_CASE("log writer: a rotation that fails keeps the file and tells", "[log_writer]") {
    Log log;
    auto writer = log.open({.max_size = 1, .max_file = 3});
    writer->append(entry_of("a", 0));
    REQUIRE(writer->flush());
    log.files.rename_fails = true;
    writer->append(entry_of("b", 2));
    CHECK(writer->flush().error().code == EROFS);
    CHECK(texts(log.bytes()) == Texts{"a"});
    log.files.rename_fails = false;
    REQUIRE(writer->flush());
    CHECK(texts(log.bytes(1)) == Texts{"a"});
    CHECK(texts(log.bytes()) == Texts{"<stdout 2+2 the log could not be written>"});
}

TEST_CASE("log writer: a directory that is not there is an error with its name", "[log_writer]") {
    const TempDirectory directory;
    const auto writer = LogWriter::open(real_file_system(), directory / "missing", {});
    REQUIRE_FALSE(writer);
    CHECK(writer.error().code == ENOENT);
    CHECK(writer.error().subject == directory / "missing");
}

TEST_CASE("log writer: copies are the same whoever writes them", "[log_writer]") {
    const std::size_t per_flush = GENERATE(std::size_t{1}, std::size_t{1000}, std::size_t{20000});
    std::map<std::string, std::string> alone;
    for (const unsigned threads : {0U, 2U}) {
        const TempDirectory directory;
        LogWriter::Options options;
        options.max_size = 1'000'000;
        options.max_file = 3;
        options.pods = directory / "pods";
        for (const LogFormat* format : formats()) {
            if (format != &docker_local::format()) options.copies.push_back(format);
        }
        if (threads > 0) options.workers = std::make_shared<Workers>(threads);
        auto writer = LogWriter::open(real_file_system(), directory.path(), options,
                                      LogOwner{.id = "id", .labels = {{"k", "v"}}});
        REQUIRE(writer);
        CHECK((*writer)->notes().empty());
        std::uint64_t position = 0;
        for (std::size_t i = 0; i < 40'000; ++i) {
            const std::string line = "line " + std::to_string(i) + std::string(i % 97, '"');
            Entry entry = entry_of(line, position, i % 5 == 0 ? Source::stderr_ : Source::stdout_);
            if (i % 1000 == 7) {
                entry.line = {};
                entry.gap = Gap{i, GapReason::ring_full};
            }
            (*writer)->append(entry);
            position += stream_bytes(entry);
            if (i % per_flush == 0) REQUIRE((*writer)->flush());
        }
        REQUIRE((*writer)->flush());
        CHECK_FALSE((*writer)->has_pending());
        std::map<std::string, std::string> files;
        for (const auto& file : fs::recursive_directory_iterator(directory.path())) {
            if (!file.is_regular_file()) continue;
            files[fs::relative(file.path(), directory.path())] = contents_of(file.path());
        }
        CHECK(files.size() > 10);
        if (threads == 0) {
            alone = files;
        } else {
            CHECK(files == alone);
        }
    }
}

TEST_CASE("log writer: a copy whose lines are all alike is not written twice", "[log_writer]") {
    Log log;
    LogWriter::Options options;
    options.copies = {&raw_format()};
    {
        const auto writer = log.open(options);
        // More than is compared to find the place where a copy goes on.
        for (std::uint64_t i = 0; i < 5000; ++i) writer->append(entry_of("y", 2 * i));
        REQUIRE(writer->flush());
    }
    const std::string copy = contents_of(log.directory / "stdout.log");
    CHECK(copy.size() == 10'000);
    REQUIRE(log.open(options)->flush());
    CHECK(contents_of(log.directory / "stdout.log") == copy);
}

TEST_CASE("log writer: no copy is ever ahead of the cached log", "[log_writer]") {
    // Of any batch: the cached log is smaller than JSON, and its own buffer fills later.
    class Watch : public FailingFileSystem {
     public:
        std::uint64_t cached = 0, copy = 0;  // entries
        Result<UniqueFd> open_log(const std::string& path, mode_t mode) override {
            auto file = FailingFileSystem::open_log(path, mode);
            if (file && path.ends_with("container-cached.log")) cached_fd_ = file->get();
            return file;
        }
        ssize_t write(int fd, std::string_view bytes) override {
            const ssize_t done = FailingFileSystem::write(fd, bytes);
            if (done != static_cast<ssize_t>(bytes.size())) FAIL("half a write");
            if (fd == cached_fd_) {
                cached += texts(bytes).size();
            } else {
                copy += static_cast<std::uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
                if (copy > cached) FAIL("the copy has " << copy << ", the log " << cached);
            }
            return done;
        }

     private:
        int cached_fd_ = -1;
    };
    const TempDirectory directory;
    Watch files;
    const auto json = find_format("json-file");
    REQUIRE(json);
    auto writer = LogWriter::open(files, directory.path(), {.max_size = 0, .copies = {*json}});
    REQUIRE(writer);
    constexpr std::uint64_t count = 30'000;
    for (std::uint64_t i = 0; i < count; ++i)
        (*writer)->append(entry_of("a line of some length", i));
    CHECK(files.copy > 0);
    REQUIRE((*writer)->flush());
    CHECK(files.copy == count);
    CHECK(files.cached == count);
}

TEST_CASE("a container's log is without limit only where all are", "[log_writer]") {
    const TempDirectory directory;
    const LogOwner owner{.id = "abc", .labels = {{"twinlog.max-size", "-1"}}};
    LogWriter::Options options{.max_size = GENERATE(100, 0)};
    const auto writer = LogWriter::open(real_file_system(), directory / "", options, owner);
    REQUIRE(writer);
    if (options.max_size == 0) {
        CHECK((*writer)->notes().empty());
    } else {
        REQUIRE((*writer)->notes().size() == 1);
        CHECK((*writer)->notes().front().find("--max-size -1") != std::string::npos);
    }
    CHECK(((*writer)->retained_bytes() == 0) == (options.max_size == 0));
}
