// Reading of a container's log: tail, since, until, damage, and following across rotation.
#include "read/log_reader.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "base/unique_fd.h"
#include "format/docker_local.h"
#include "store/container_info.h"
#include "store/gzip.h"
#include "store/removal.h"
#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

// A container's directory, with a writer that does by hand what the store does.
class Container {
 public:
    Container() {
        std::string pattern = (fs::temp_directory_path() / "twinlog-test-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
        info_.id = std::string(64, 'c');
        info_.name = "web";
        info_.run = 1;
        save();
    }
    ~Container() { fs::remove_all(path_); }
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;

    [[nodiscard]] std::string path() const { return path_.string(); }
    [[nodiscard]] fs::path log(int number = 0) const {
        return path_ / ("container-cached.log" + (number > 0 ? "." + std::to_string(number) : ""));
    }

    void append(std::string_view bytes, int number = 0) const {
        std::ofstream(log(number), std::ios::binary | std::ios::app) << bytes;
    }
    void compress(int number) const {
        const std::string from = log(number).string();
        const UniqueFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
        const UniqueFd out(
            ::open((from + ".gz").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        const auto facts = time_range(in.get(), from, docker_local::format());
        REQUIRE(facts);
        REQUIRE(gzip_copy(real_file_system(), in.get(), out.get(), from, *facts, false));
        fs::remove(from);
    }
    // A rotation as the store does it: shift, drop what is too old, rename; the next append
    // creates.
    void rotate(int files) const {
        std::error_code ignored;
        fs::remove(log(files - 1), ignored);
        for (int i = files - 2; i >= 0; --i) fs::rename(log(i), log(i + 1), ignored);
    }
    void end() {
        info_.state = ContainerState::ended;
        save();
    }
    void ends_with(const LogEnds& ends) {
        for (std::size_t i = 0; i < ends.size(); ++i) info_.streams[i].end = ends[i];
        save();
    }
    void start_again() {
        info_.state = ContainerState::running;
        ++info_.run;
        save();
    }

 private:
    void save() const {
        const fs::path fresh = path_ / "container.json.new";
        std::ofstream(fresh) << to_json(info_);
        fs::rename(fresh, path_ / "container.json");
    }
    fs::path path_;
    ContainerInfo info_;
};

std::string frame(const Entry& entry) {
    std::string bytes;
    docker_local::append(entry, bytes);
    return bytes;
}

Entry entry_of(std::string_view text, std::int64_t time_ns = 1, Source source = Source::stdout_) {
    Entry entry;
    entry.source = source;
    entry.time_ns = time_ns;
    entry.line = text;
    return entry;
}

std::string line(std::string_view text, std::int64_t time_ns = 1, Source source = Source::stdout_) {
    return frame(entry_of(text, time_ns, source));
}

std::string gap(std::uint64_t bytes) {
    Entry entry = entry_of("");
    entry.gap = Gap{bytes, GapReason::ring_full};
    return frame(entry);
}

LogReader open(const Container& container, const ReadOptions& options = {}) {
    auto reader = LogReader::open(container.path(), options);
    INFO((reader ? std::string() : reader.error().message()));
    REQUIRE(reader);
    return std::move(*reader);
}

std::string describe(const Damage& damage) {
    constexpr std::string_view kinds[] = {"skipped", "torn", "shrunk",  "rotated",  "compressed",
                                          "missing", "cut",  "expired", "irregular"};
    return "<" + std::string(kinds[static_cast<int>(damage.kind)]) + " " + damage.file + " " +
           std::to_string(damage.position) + "+" + std::to_string(damage.bytes) + ">";
}

// All there is until the reader ends or would wait; lines and damages, one space between.
std::string read(LogReader& reader, LogReader::Step* last = nullptr) {
    std::string text;
    for (;;) {
        const auto step = reader.next();
        if (!step) FAIL(step.error().message());
        if (last != nullptr) *last = *step;
        if (*step == LogReader::Step::idle || *step == LogReader::Step::end) return text;
        if (!text.empty()) text += ' ';
        if (*step == LogReader::Step::damage) {
            text += describe(reader.damage());
        } else if (reader.entry().gap) {
            text += "gap" + std::to_string(reader.entry().gap->bytes);
        } else {
            text += reader.entry().line;
        }
    }
}

std::string read(const Container& container, const ReadOptions& options = {}) {
    LogReader reader = open(container, options);
    return read(reader);
}

}  // namespace

TEST_CASE("files are read from the oldest to the newest", "[log_reader]") {
    Container container;
    CHECK(read(container).empty());
    container.append(line("a") + line("b"), 10);
    container.append(line("c"), 9);
    container.append("", 2);
    container.append(line("d"), 1);
    container.append(line("e", 1, Source::stderr_) + line(""));
    container.append(line("no"), 0);
    fs::copy(container.log(), container.path() + "/container-cached.log.bak");
    fs::copy(container.log(), container.path() + "/container-cached.log.01");
    CHECK(read(container) == "a b c d e  no");
}

TEST_CASE("what bears a log's name and is no regular file is told", "[log_reader]") {
    const Container container;
    container.append(line("a"), 1);
    SECTION("a directory") {
        fs::create_directory(container.log());
    }
    SECTION("a link") {
        fs::create_symlink("/etc/passwd", container.log());
    }
    SECTION("a fifo") {
        REQUIRE(::mkfifo(container.log().c_str(), 0600) == 0);
    }
    CHECK(read(container) == "<irregular container-cached.log 0+0> a");
    CHECK(read(container, {.docker_exact = true}) == "a");
}

TEST_CASE("entries longer than a block are read whole", "[log_reader]") {
    Container container;
    const std::string big(900'000, 'x');
    container.append(line("a") + line(big) + line(big) + line("z"));
    CHECK(read(container) == "a " + big + " " + big + " z");
    CHECK(read(container, {.tail = 2}) == big + " z");
    CHECK(read(container, {.tail = 3}) == big + " " + big + " z");
}

TEST_CASE("tail counts entries of all files and both streams", "[log_reader]") {
    Container container;
    container.append(line("1") + line("2", 1, Source::stderr_), 2);
    container.append(line("3"), 1);
    container.append(line("4") + gap(7) + line("5", 1, Source::stderr_));
    CHECK(read(container, {.tail = 0}).empty());
    CHECK(read(container, {.tail = 1}) == "5");
    CHECK(read(container, {.tail = 2}) == "4 gap7 5");
    CHECK(read(container, {.tail = 3}) == "3 4 gap7 5");
    CHECK(read(container, {.tail = 4}) == "2 3 4 gap7 5");
    CHECK(read(container, {.tail = 5}) == "1 2 3 4 gap7 5");
    CHECK(read(container, {.tail = 99}) == "1 2 3 4 gap7 5");
}

TEST_CASE("a tail has whole lines, and as Docker counts each piece", "[log_reader]") {
    const std::string id(64, 'a');
    const std::string other(64, 'b');
    const auto piece = [](std::string_view text, const std::string& of, int ordinal, bool last,
                          Source source = Source::stdout_) {
        Entry entry = entry_of(text, 1, source);
        entry.partial = Partial{of, ordinal, last};
        return frame(entry);
    };
    constexpr Source err = Source::stderr_;
    const std::string before = line("o") + line("e", 1, err);
    const std::string first = piece("p1", id, 1, false) + line("e1", 1, err);
    const std::string second =
        piece("p2", id, 2, false) + piece("q1", other, 1, false, err) + gap(3);
    const std::string third = piece("q2", other, 2, true, err) + line("o2");
    const Container container;
    SECTION("in one file") {
        container.append(before + first + second + third);
    }
    SECTION("over files") {
        container.append(before, 4);
        container.append(first, 3);
        container.append(second, 1);
        container.append(third);
    }
    SECTION("over compressed files") {
        int number = 4;
        for (const std::string& part : {before, first, second}) {
            container.append(part, number);
            container.compress(number--);
        }
        container.append(third);
    }
    const std::string all = "o e p1 e1 p2 q1 gap3 q2 o2";
    CHECK(read(container) == all);
    CHECK(read(container, {.tail = 0}).empty());
    CHECK(read(container, {.tail = 1}) == "o2");
    CHECK(read(container, {.tail = 2}) == "q1 q2 o2");
    CHECK(read(container, {.tail = 3}) == "p1 p2 q1 gap3 q2 o2");
    CHECK(read(container, {.tail = 4}) == "p1 e1 p2 q1 gap3 q2 o2");
    CHECK(read(container, {.tail = 5}) == "e p1 e1 p2 q1 gap3 q2 o2");
    CHECK(read(container, {.tail = 6}) == all);
    CHECK(read(container, {.tail = 9}) == all);
    CHECK(read(container, {.tail = 1, .tail_of = err}) == "q1 q2 o2");
    CHECK(read(container, {.tail = 2, .tail_of = Source::stdout_}) == "p1 p2 q1 gap3 q2 o2");
    CHECK(read(container, {.tail = 2, .docker_exact = true}) == "q2 o2");
    CHECK(read(container, {.tail = 4, .docker_exact = true}) == "q1 gap3 q2 o2");
}

TEST_CASE("a line whose beginning is missing is not looked for", "[log_reader]") {
    const std::string id(64, 'a');
    Entry piece = entry_of("end");
    piece.partial = Partial{id, 3, true};
    const Container container;
    container.append(line("o") + frame(piece) + line("e", 1, Source::stderr_));
    CHECK(read(container, {.tail = 2}) == "end e");
    // A gap parts what bears the same id.
    const Container parted;
    piece.partial = Partial{id, 1, false};
    piece.line = "begin";
    const std::string begin = frame(piece);
    piece.partial = Partial{id, 2, true};
    piece.line = "end";
    parted.append(begin + gap(5) + frame(piece));
    CHECK(read(parted, {.tail = 1}) == "end");
    CHECK(read(parted, {.tail = 2}) == "begin gap5 end");
}

TEST_CASE("a tail is counted back from until, as Docker from the end", "[log_reader]") {
    constexpr std::int64_t second = 1'000'000'000;
    const Container container;
    const auto lines = [&](int from, int to) {
        std::string bytes;
        for (int i = from; i < to; ++i) {
            bytes +=
                line(std::to_string(i), i * second, i % 2 == 0 ? Source::stdout_ : Source::stderr_);
        }
        return bytes;
    };
    SECTION("one file") {
        container.append(lines(1, 30));
    }
    SECTION("many files") {
        for (int i = 0; i < 5; ++i) container.append(lines(1 + 6 * i, 7 + 6 * i), 4 - i);
    }
    SECTION("compressed files") {
        for (int i = 0; i < 5; ++i) {
            container.append(lines(1 + 6 * i, 7 + 6 * i), 4 - i);
            if (i < 4) container.compress(4 - i);
        }
    }
    const std::int64_t until = 10 * second;
    CHECK(read(container, {.until_ns = until, .tail = 2}) == "9 10");
    CHECK(read(container, {.since_ns = 10 * second, .until_ns = until, .tail = 2}) == "10");
    CHECK(read(container, {.until_ns = until, .tail = 2, .tail_of = Source::stderr_}) ==
          "7 8 9 10");
    CHECK(read(container, {.until_ns = until, .tail = 99}) == "1 2 3 4 5 6 7 8 9 10");
    CHECK(read(container, {.until_ns = until, .tail = 0}).empty());
    CHECK(read(container, {.until_ns = second / 2, .tail = 2}).empty());
    CHECK(read(container, {.until_ns = 99 * second, .tail = 1}) == read(container, {.tail = 1}));
    CHECK(read(container, {.until_ns = until, .tail = 2, .docker_exact = true}).empty());
}

TEST_CASE("entries of sources that nobody knows do not count for tail", "[log_reader]") {
    const Container container;
    std::string other = line("other");
    other.replace(other.find("stdout"), 6, "system");
    container.append(line("a") + line("b") + other + other);
    CHECK(read(container, {.tail = 1}) == "b");
    CHECK(read(container, {.tail = 2}) == "a b");
    CHECK(read(container, {.tail = 3}) == "a b");
}

TEST_CASE("tail reads over many blocks", "[log_reader]") {
    Container container;
    std::string bytes;
    std::string last_ten_thousand;
    for (int i = 0; i < 30'000; ++i) {
        const std::string text = "line number " + std::to_string(i) + " of many, of some length";
        bytes += line(text);
        if (i >= 20'000) last_ten_thousand += (i > 20'000 ? " " : "") + text;
    }
    container.append(bytes);
    CHECK(read(container, {.tail = 10'000}) == last_ten_thousand);
}

TEST_CASE("since and until in Docker's way", "[log_reader]") {
    Container container;
    for (const int time : {10, 20, 15, 30, 25, 40}) {
        container.append(line(std::to_string(time), time));
    }
    // Every entry is looked at, not only those up to the first that passes.
    CHECK(read(container, {.since_ns = 20}) == "20 30 25 40");
    CHECK(read(container, {.since_ns = 20, .docker_exact = true}) == "20 30 25 40");
    CHECK(read(container, {.since_ns = 20, .since_once = true}) == "20 15 30 25 40");
    // The first later entry ends it for good.
    CHECK(read(container, {.until_ns = 25}) == "10 20 15");
    CHECK(read(container, {.since_ns = 12, .until_ns = 25}) == "20 15");
    CHECK(read(container, {.since_ns = 41}).empty());
    CHECK(read(container, {.until_ns = 9}).empty());
    // Tail comes first.
    CHECK(read(container, {.until_ns = 25, .tail = 2, .docker_exact = true}) == "25");
    CHECK(read(container, {.since_ns = 26, .tail = 3}) == "30 40");
}

TEST_CASE("since finds what came out of order, without reading all before it", "[log_reader]") {
    constexpr int lines = 20'000;
    constexpr int early = 2000;
    constexpr std::int64_t apart_ns = 100'000;
    constexpr std::int64_t since_ns = (early + 8000) * apart_ns;
    const std::string padding(200, 'x');  // so that the place is found by halves
    const int in_old_file = GENERATE(0, 5000);
    Container container;
    std::string old_file;
    std::string file;
    std::string wanted;
    for (int i = 0; i < lines; ++i) {
        // One is ahead of all others, by nearly as much as may be.
        const std::int64_t time = (i == early ? early + 9000 : i) * apart_ns;
        const std::string text = std::to_string(i) + padding;
        (i < in_old_file ? old_file : file) += line(text, time);
        if (time < since_ns) continue;
        if (!wanted.empty()) wanted += ' ';
        wanted += text;
    }
    if (!old_file.empty()) container.append(old_file, 1);
    container.append(file);
    CHECK((read(container, {.since_ns = since_ns}) == wanted));
}

TEST_CASE("a torn end of a running container's log is no damage", "[log_reader]") {
    Container container;
    const std::string torn = line("torn");
    container.append(line("a") + torn.substr(0, torn.size() - 3));
    CHECK(read(container) == "a");
    CHECK(read(container, {.tail = 1}) == "a");
    CHECK(read(container, {.tail = 0}).empty());

    container.end();
    const std::string report = "<torn container-cached.log " + std::to_string(line("a").size()) +
                               "+" + std::to_string(torn.size() - 3) + ">";
    CHECK(read(container) == "a " + report);
    CHECK(read(container, {.tail = 1}) == "a " + report);
}

TEST_CASE("every cut of a log gives the whole entries before it", "[log_reader]") {
    Container container;
    container.end();
    const std::vector<std::string> frames = {line("first"), line("second"), line("third")};
    const std::string all = frames[0] + frames[1] + frames[2];
    for (std::size_t cut = 0; cut <= all.size(); ++cut) {
        fs::remove(container.log());
        container.append(all.substr(0, cut));
        std::string expected;
        std::size_t used = 0;
        for (std::size_t i = 0; i < 3 && used + frames[i].size() <= cut; ++i) {
            constexpr std::string_view texts[] = {"first", "second", "third"};
            if (i > 0) expected += ' ';
            expected += texts[i];
            used += frames[i].size();
        }
        if (used < cut) {
            if (used > 0) expected += ' ';
            expected += "<torn container-cached.log " + std::to_string(used) + "+" +
                        std::to_string(cut - used) + ">";
        }
        INFO(cut);
        CHECK(read(container) == expected);
    }
}

TEST_CASE("reading goes on behind damage", "[log_reader]") {
    Container container;
    container.end();
    const std::string a = line("aaaa");
    const std::string b = line("bbbb");
    const std::string c = line("cccc");
    const auto skipped = [&](std::size_t position, std::size_t bytes) {
        return "<skipped container-cached.log " + std::to_string(position) + "+" +
               std::to_string(bytes) + ">";
    };
    std::string bad = b;
    std::string expected = "aaaa " + skipped(a.size(), b.size()) + " cccc";
    SECTION("length of no entry") {
        bad.replace(0, 4, "\xff\xff\xff\xff");
    }
    SECTION("length that reaches behind the end") {
        bad.replace(0, 4, std::string("\0\x01\0\0", 4));
    }
    SECTION("lengths that differ") {
        bad.back() = static_cast<char>(bad.back() + 1);
    }
    SECTION("contents") {
        bad[4] = '\x07';
    }
    SECTION("zeros") {
        bad.assign(b.size(), '\0');
    }
    SECTION("a few bytes too many") {
        bad = b + "xyz";
        expected = "aaaa bbbb " + skipped(a.size() + b.size(), 3) + " cccc";
    }
    SECTION("a cut entry") {
        bad = b.substr(0, 9);
        expected = "aaaa " + skipped(a.size(), 9) + " cccc";
    }
    SECTION("more than a block") {
        bad.assign(700'001, '\x01');
        expected = "aaaa " + skipped(a.size(), bad.size()) + " cccc";
    }
    container.append(a + bad + c);
    CHECK(read(container) == expected);
    CHECK(read(container, {.tail = 1}) == "cccc");
    if (bad.size() != b.size() + 3) CHECK(read(container, {.tail = 2}) == expected);
    // The next file is not touched by it.
    container.append(a, 1);
    CHECK(read(container) == "aaaa " + expected);
}

TEST_CASE("bytes that look like entries everywhere cost no more than others", "[log_reader]") {
    // A frame begins at every sixth byte, and what stands in it are fields up to its last bytes.
    constexpr std::size_t message = 900'002;
    std::string bytes;
    for (std::size_t at = 0; at < 6'000'000; at += 6) {
        for (unsigned shift = 0; shift < 32; shift += 8) {
            bytes += static_cast<char>(message >> (24 - shift));
        }
        bytes += "\x7a\x04";
    }
    const Container container;
    container.append(line("first") + bytes + line("last"));
    CHECK(read(container) == "first <skipped container-cached.log " +
                                 std::to_string(line("first").size()) + "+" +
                                 std::to_string(bytes.size()) + "> last");
    // From the end on, too.
    CHECK(read(container, {.tail = 1}) == "last");
    CHECK(read(container, {.tail = 2}).starts_with("first "));
    // As other readers of the format have it.
    const auto decoder = docker_local::format().decoder({});
    std::string_view rest = bytes;
    while (decoder->decode(rest, true).state == FrameState::damaged) rest.remove_prefix(1);
    CHECK(rest.size() < message + docker_local::frame_overhead);
}

TEST_CASE("zeros at the end, as a crash leaves them", "[log_reader]") {
    Container container;
    container.append(line("a") + std::string(128, '\0'));
    CHECK(read(container) == "a");
    CHECK(read(container, {.tail = 1}) == "a");
    container.end();
    CHECK(read(container) ==
          "a <skipped container-cached.log " + std::to_string(line("a").size()) + "+128>");
}

TEST_CASE("a log without container.json can be read", "[log_reader]") {
    Container container;
    container.append(line("a"));
    fs::remove(fs::path(container.path()) / "container.json");
    CHECK(read(container) == "a");
    CHECK(read(container, {.follow = true}) == "a");
}

TEST_CASE("a directory that is not there is an error", "[log_reader]") {
    const Container container;
    const auto reader = LogReader::open(container.path() + "/none", {});
    REQUIRE_FALSE(reader);
    CHECK(reader.error().code == ENOENT);
}

TEST_CASE("a rotated file that may not be opened is an error", "[log_reader]") {
    const Container container;
    container.append(line("one"));
    const std::string path = container.path() + "/container-cached.log.1.gz";
    std::ofstream(path) << "whatever";
    fs::permissions(path, fs::perms::none);
    fs::permissions(container.path(), fs::perms::owner_all | fs::perms::group_read |
                                          fs::perms::group_exec | fs::perms::others_read |
                                          fs::perms::others_exec);
    // Root may open anything.
    constexpr uid_t nobody = 65534;
    const int former = ::setfsuid(nobody);
    const auto reader = LogReader::open(container.path(), {});
    ::setfsuid(static_cast<uid_t>(former));
    REQUIRE_FALSE(reader);
    CHECK(reader.error().code == EACCES);
    CHECK(reader.error().subject == path);
}

TEST_CASE("what is open stays readable when rotation deletes it", "[log_reader]") {
    Container container;
    container.append(line("a"), 1);
    container.append(line("b"));
    LogReader reader = open(container);
    container.rotate(2);
    container.append(line("c"));
    container.rotate(2);
    CHECK(read(reader) == "a b");
}

TEST_CASE("following gives each entry once", "[log_reader]") {
    Container container;
    container.append(line("a"));
    LogReader reader = open(container, {.follow = true});
    auto step = LogReader::Step::end;
    CHECK(read(reader, &step) == "a");
    CHECK(step == LogReader::Step::idle);
    CHECK(read(reader).empty());

    container.append(line("b") + line("c"));
    REQUIRE(*reader.wait() == DirectoryWatch::Wake::changed);
    CHECK(read(reader, &step) == "b c");
    CHECK(step == LogReader::Step::idle);

    SECTION("an entry that comes in parts") {
        const std::string d = line("d");
        container.append(d.substr(0, 3));
        CHECK(read(reader).empty());
        container.append(d.substr(3, 8));
        CHECK(read(reader).empty());
        container.append(d.substr(11));
        CHECK(read(reader) == "d");
    }
    SECTION("a torn entry that recovery cuts off") {
        const auto size = fs::file_size(container.log());
        container.append(line("torn and lost").substr(0, 20));
        CHECK(read(reader).empty());
        fs::resize_file(container.log(), size);
        container.append(line("d"));
        CHECK(read(reader) == "d");
    }
    SECTION("one rotation, with a last entry before it") {
        container.append(line("d"));
        container.rotate(3);
        container.append(line("e"));
        CHECK(read(reader) == "d e");
    }
    SECTION("several rotations between two looks") {
        container.append(line("d"));
        for (const std::string text : {"e", "f", "g"}) {
            container.rotate(5);
            container.append(line(text));
        }
        CHECK(read(reader) == "d e f g");
    }
    SECTION("a look between rename and creation") {
        container.append(line("d"));
        container.rotate(3);
        CHECK(read(reader, &step) == "d");
        CHECK(step == LogReader::Step::idle);
        container.append(line("e"));
        CHECK(read(reader) == "e");
    }
    SECTION("a file that was emptied") {
        const auto size = fs::file_size(container.log());
        fs::resize_file(container.log(), 0);
        CHECK(read(reader) == "<shrunk container-cached.log 0+" + std::to_string(size) + ">");
        container.append(line("d"));
        CHECK(read(reader) == "d");
    }
    container.append(line("z"));
    container.end();
    CHECK(read(reader, &step) == "z");
    CHECK(step == LogReader::Step::end);
    CHECK(read(reader, &step).empty());
    CHECK(step == LogReader::Step::end);
}

TEST_CASE("following waits for a log that is not there yet", "[log_reader]") {
    Container container;
    LogReader reader = open(container, {.follow = true});
    auto step = LogReader::Step::end;
    CHECK(read(reader, &step).empty());
    CHECK(step == LogReader::Step::idle);
    container.append(line("a"));
    CHECK(read(reader) == "a");
}

TEST_CASE("following with tail begins at the tail", "[log_reader]") {
    Container container;
    container.append(line("a") + line("b"));
    LogReader last = open(container, {.tail = 1, .follow = true});
    LogReader none = open(container, {.tail = 0, .follow = true});
    container.append(line("c"));
    CHECK(read(last) == "b c");
    CHECK(read(none) == "c");
}

TEST_CASE("following ends with the container", "[log_reader]") {
    Container container;
    container.append(line("a"));
    auto step = LogReader::Step::idle;
    SECTION("that has ended before") {
        container.end();
        LogReader reader = open(container, {.follow = true});
        CHECK(read(reader, &step) == "a");
    }
    SECTION("that has ended and started again between two looks") {
        LogReader reader = open(container, {.follow = true});
        CHECK(read(reader) == "a");
        container.end();
        container.start_again();
        CHECK(read(reader, &step).empty());
    }
    SECTION("whose directory was removed") {
        LogReader reader = open(container, {.follow = true});
        CHECK(read(reader) == "a");
        container.append(line("b"));
        fs::remove_all(container.path());
        CHECK(read(reader, &step) == "b");
    }
    SECTION("by until") {
        LogReader reader = open(container, {.until_ns = 5, .follow = true});
        CHECK(read(reader) == "a");
        container.append(line("b", 6) + line("c", 1));
        CHECK(read(reader, &step).empty());
    }
    CHECK(step == LogReader::Step::end);
}

TEST_CASE("files that rotation took from a slow follower are told of", "[log_reader]") {
    Container container;
    const auto positioned = [](std::string_view text, std::uint64_t position) {
        Entry entry = entry_of(text);
        entry.run = 1;
        entry.position = position;
        return frame(entry);
    };
    container.append(positioned("a", 0));
    LogReader reader = open(container, {.follow = true});
    CHECK(read(reader) == "a");
    SECTION("with lines in them") {
        for (const int i : {1, 2, 3}) {
            container.rotate(2);
            container.append(positioned("b", static_cast<std::uint64_t>(2 * i)));
        }
        CHECK(read(reader) == "<rotated container-cached.log 0+2> b b");
    }
    SECTION("nothing is told where nothing is missing") {
        container.rotate(1);
        container.append(positioned("b", 2));
        CHECK(read(reader) == "b");
    }
}

TEST_CASE("a file that is missing between others is told", "[log_reader]") {
    Container container;
    const auto at = [](std::string_view text, std::uint64_t position, std::uint32_t run = 1) {
        Entry entry = entry_of(text, static_cast<std::int64_t>(position) + 1);
        entry.run = run;
        entry.position = position;
        return frame(entry);
    };
    const std::string told = "<missing container-cached.log 0+4>";
    // What retention removed in front of the first is no damage.
    container.append(at("c", 4), 3);
    container.append(at("d", 6), 1);
    SECTION("none is") {
        container.append(at("e", 8) + at("x", 0, 2));
        CHECK(read(container) == "c d e x");
    }
    SECTION("one is") {
        container.append(at("g", 12) + at("h", 14));
        CHECK(read(container) == "c d " + told + " g h");
        CHECK(read(container, {.follow = true}) == "c d " + told + " g h");
        CHECK(read(container, {.docker_exact = true}) == "c d g h");
        // As far as it is read.
        CHECK(read(container, {.tail = 3}) == "d " + told + " g h");
        CHECK(read(container, {.tail = 2}) == "g h");
        CHECK(read(container, {.since_ns = 13}).find("g h") != std::string::npos);
        CHECK(read(container, {.until_ns = 8}) == "c d");
    }
    SECTION("damage before it was told") {
        container.append("torn", 1);
        container.append(at("g", 12));
        CHECK(read(container) ==
              "c d <skipped container-cached.log.1 " + std::to_string(at("d", 6).size()) + "+4> g");
    }
}

TEST_CASE("a log that ends before its end is told", "[log_reader]") {
    Container container;
    const auto at = [](std::string_view text, std::uint64_t position, Source source,
                       std::uint32_t run = 1) {
        Entry entry = entry_of(text, 1, source);
        entry.run = run;
        entry.position = position;
        return frame(entry);
    };
    const std::string whole = at("a", 0, Source::stdout_) + at("e", 0, Source::stderr_);
    const std::string last = at("b", 2, Source::stdout_);
    const LogEnds ends = {LogEnd{1, 4, true}, LogEnd{1, 2, false}};
    const std::string cut = "<cut container-cached.log 0+";
    SECTION("a running one may lag behind") {
        container.append(whole);
        container.ends_with(ends);
        CHECK(read(container) == "a e");
    }
    container.ends_with(ends);
    container.end();
    SECTION("whole") {
        container.append(whole + last);
        CHECK(read(container) == "a e b");
    }
    SECTION("rotation took all of the other stream") {
        container.append(last);
        CHECK(read(container) == "b");
        // A later run, as of a daemon that was killed.
        container.append(at("c", 0, Source::stdout_, 2));
        CHECK(read(container) == "b c");
    }
    SECTION("cut at an entry") {
        container.append(whole);
        CHECK(read(container) == "a e " + cut + "2>");
        CHECK(read(container, {.tail = 2}) == "a e " + cut + "2>");
        CHECK(read(container, {.tail = 0}).empty());
        CHECK(read(container, {.until_ns = 0}).empty());
        CHECK(read(container, {.follow = true}) == "a e " + cut + "2>");
        CHECK(read(container, {.docker_exact = true}) == "a e");
    }
    SECTION("empty or gone") {
        if (GENERATE(true, false)) container.append("");
        CHECK(read(container) == cut + "4> " + cut + "2>");
        CHECK(read(container, {.tail = 5}) == cut + "4> " + cut + "2>");
    }
    SECTION("retention removed it") {
        REQUIRE(save_removal(container.path(), {"max-age", 1, ends}));
        CHECK(read(container) == "<expired container-cached.log 0+0>");
        LogReader reader = open(container);
        REQUIRE(reader.next());
        CHECK(reader.damage().message() ==
              "container-cached.log: removed, as --max-age of `twinlog run` wants it");
        // What came after that was not removed.
        container.ends_with({LogEnd{2, 7, true}, ends[1]});
        CHECK(read(container) == cut + "7> " + cut + "2>");
    }
}

TEST_CASE("a stop wakes a waiting follower", "[log_reader]") {
    const Container container;
    LogReader reader = open(container, {.follow = true});
    CHECK(read(reader).empty());
    const UniqueFd stop(::eventfd(1, EFD_CLOEXEC));
    REQUIRE(stop.valid());
    CHECK(*reader.wait(stop.get()) == DirectoryWatch::Wake::stop);

    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const UniqueFd output(ends[1]);
    ::close(ends[0]);
    CHECK(*reader.wait(-1, output.get()) == DirectoryWatch::Wake::stop);
}

TEST_CASE("following a writer that rotates all the time", "[log_reader]") {
    Container container;
    constexpr int entries = 20'000;
    std::string expected;
    for (int i = 0; i < entries; ++i) expected += std::to_string(i) + ' ';

    LogReader reader = open(container, {.follow = true});
    std::thread writer([&container] {
        int made = 1;
        for (int i = 0; i < entries; ++i) {
            container.append(line(std::to_string(i)));
            if (i % 97 != 0 || i + 1 == entries) continue;
            container.rotate(++made);  // keeps all that were made
        }
        container.end();
    });
    std::string text;
    for (;;) {
        const auto step = reader.next();
        if (!step || *step == LogReader::Step::end) break;
        if (*step == LogReader::Step::entry) text += std::string(reader.entry().line) + ' ';
        if (*step == LogReader::Step::damage) text += describe(reader.damage()) + ' ';
        if (*step == LogReader::Step::idle && !reader.wait()) break;
    }
    writer.join();
    CHECK((text == expected));
}

// Each four bytes of the line's parts say that a frame of that length begins or ends there.
TEST_CASE("a tail is right behind a torn end, though lines were made to look like entries",
          "[log_reader]") {
    const auto lengths = [](std::uint32_t length, std::size_t size) {
        std::string text;
        while (text.size() < size) {
            for (const int shift : {24, 16, 8, 0})
                text += static_cast<char>(length >> shift & 0xffU);
        }
        return text;
    };
    // So that the bytes are at the same places in each entry: each is 16 KiB long.
    constexpr std::size_t entry_size = 16384;
    const auto entry_of = [](const std::string& line) {
        std::string frame;
        docker_local::append(Entry{.time_ns = 1'700'000'000'000'000'000,
                                   .line = line,
                                   .run = 1,
                                   .position = 1ULL << 27U,
                                   .writer = Writer{100, 100, "app", 1}},
                             frame);
        return frame;
    };
    const std::size_t overhead = entry_of(std::string(16000, 'x')).size() - 16000;
    const std::size_t parts = 1024 + 6144;
    const std::string line =
        lengths(256, 1024) + lengths(2048, 6144) + lengths(983'040, entry_size - overhead - parts);
    const std::string entry = entry_of(line);
    REQUIRE(entry.size() == entry_size);
    std::string file;
    for (int i = 0; i < 300; ++i) file += entry;
    file.resize(file.size() - 40);
    const TempDirectory directory;
    std::ofstream(directory / "container-cached.log", std::ios::binary) << file;
    ReadOptions options;
    options.tail = 5;
    auto reader = LogReader::open(directory / "", options);
    REQUIRE(reader);
    std::size_t entries = 0;
    for (;;) {
        const auto step = reader->next();
        REQUIRE(step);
        if (*step == LogReader::Step::end) break;
        if (*step != LogReader::Step::entry) continue;
        CHECK(reader->entry().line == line);
        ++entries;
    }
    CHECK(entries == 5);
}
