// The reader of log files on files of any content, plain or compressed: whatever stands in them, it
// comes to an end, accounts for every byte, and finds the entries that stand behind damage.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "format/docker_local.h"
#include "fuzz.h"
#include "read/log_file.h"
#include "read/log_reader.h"
#include "store/gzip.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

constexpr std::string_view plain_name = "container-cached.log";
constexpr std::string_view old_name = "container-cached.log.1";
constexpr std::string_view gzip_name = "container-cached.log.1.gz";

std::string some_entry(Input& input) {
    Entry entry;
    const std::uint8_t kind = input.byte();
    entry.source = (kind & 1U) != 0 ? Source::stderr_ : Source::stdout_;
    entry.time_ns = static_cast<std::int64_t>(input.upto(0xffff)) * 1'000'000'000;
    const std::string line((kind & 2U) != 0 ? input.size(14) : 0, 'x');
    const std::string text = line + std::string(input.take(input.byte() % 32));
    entry.line = text;
    if ((kind & 4U) != 0) entry.partial = Partial{"id", 1 + input.byte(), (kind & 8U) != 0};
    entry.run = kind >> 4U;
    entry.position = input.byte();
    if ((kind & 16U) != 0) entry.writer = Writer{1, 2, "comm", 0};
    if ((kind & 32U) != 0) {
        entry.line = {};
        entry.partial.reset();
        entry.writer.reset();
        entry.gap = Gap{input.byte(), GapReason::fault};
    }
    std::string frame;
    docker_local::append(entry, frame);
    // Somebody's extension: a source that nobody knows.
    if ((kind & 0xc0U) == 0xc0U) frame[docker_local::length_size + 2] ^= 1;
    return frame;
}

// Entries and what is none, one after the other.
std::string some_file(Input& input) {
    std::string file;
    for (int pieces = input.byte() % 16; pieces > 0 && !input.empty(); --pieces) {
        switch (input.byte() % 4) {
            case 0:
                file += input.take(input.byte());
                break;
            case 1:
                file.append(input.size(12), '\0');
                break;
            case 2: {
                const std::string entry = some_entry(input);
                file += entry.substr(0, input.upto(entry.size()));
                break;
            }
            default:
                file += some_entry(input);
        }
    }
    return file;
}

class Directory {
 public:
    Directory() : fd_(::open(scratch().path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        require(fd_.valid(), "the directory can be opened");
    }
    [[nodiscard]] LogFile open(std::string_view name) const {
        return need(LogFile::open(fd_.get(), std::string(name), scratch().path()));
    }

 private:
    UniqueFd fd_;
};

struct Walk {
    std::vector<std::string> entries;
    std::vector<std::uint64_t> ends;  // where they end in the file
    std::vector<std::int64_t> times;
    std::size_t lines = 0;  // entries that stand for no gap
    bool damaged = false;
};

Walk walk(LogFile& file, LogFile::Ending ending, std::uint64_t size) {
    Walk walk;
    std::uint64_t last = file.position();
    for (std::uint64_t steps = 0;; ++steps) {
        require(steps <= 2 * size + 2, "reading comes to an end");
        const LogFile::Step step = need(file.next(ending));
        if (step == LogFile::Step::at_end) break;
        require(file.position() > last || step == LogFile::Step::damage, "reading goes on");
        last = file.position();
        if (step != LogFile::Step::entry) {
            require(!file.damage().message().empty(), "damage is told");
            walk.damaged = true;
            continue;
        }
        walk.entries.emplace_back(file.entry_bytes());
        walk.ends.push_back(file.position());
        walk.times.push_back(file.entry().time_ns);
        if (!file.entry().gap) ++walk.lines;
    }
    return walk;
}

void check_tail(const Directory& directory, const Walk& all, std::uint64_t wanted, bool gaps,
                std::uint64_t size) {
    LogFile file = directory.open(plain_name);
    Tail sought(wanted, {.whole_lines = false, .gaps = gaps});
    need(file.seek_tail(sought));
    const std::uint64_t found = wanted - sought.left();
    const Walk tail = walk(file, LogFile::Ending::complete, size);
    require(found < wanted || wanted == 0 || !tail.entries.empty(), "what was found is there");
    if (all.damaged) return;
    const std::size_t there = gaps ? all.entries.size() : all.lines;
    require(found == std::min<std::uint64_t>(wanted, there), "the tail has all there is");
    require(found < wanted || (gaps ? tail.entries.size() : tail.lines) == wanted,
            "the tail begins where it should");
}

void check_since(const Directory& directory, const Walk& all, std::int64_t time,
                 std::uint64_t size) {
    LogFile file = directory.open(plain_name);
    need(file.seek_time(time));
    const Walk rest = walk(file, LogFile::Ending::complete, size);
    // In a log whose times are in order all that is wanted is there.
    if (!all.damaged && std::is_sorted(all.times.begin(), all.times.end())) {
        const auto first = std::lower_bound(all.times.begin(), all.times.end(), time);
        const auto wanted = static_cast<std::size_t>(all.times.end() - first);
        require(rest.entries.size() >= wanted, "nothing is left out");
        require(std::equal(rest.entries.rbegin(), rest.entries.rend(), all.entries.rbegin()),
                "nothing is made up");
    }
    (void)need(file.newest_time());
    (void)need(file.first_time());
}

void read_container(Input& input) {
    ReadOptions options;
    const std::uint8_t flags = input.byte();
    if ((flags & 1U) != 0) options.tail = input.byte();
    if ((flags & 2U) != 0) options.since_ns = static_cast<std::int64_t>(input.upto(0xffff)) << 30U;
    if ((flags & 4U) != 0) options.until_ns = static_cast<std::int64_t>(input.upto(0xffff)) << 30U;
    options.docker_exact = options.since_once = (flags & 8U) != 0;
    options.follow = (flags & 16U) != 0;
    LogReader reader = need(LogReader::open(scratch().path(), options));
    for (std::uint64_t steps = 0;; ++steps) {
        require(steps < 1'000'000, "reading comes to an end");
        const LogReader::Step step = need(reader.next());
        if (step == LogReader::Step::entry) (void)stream_bytes(reader.entry());
        if (step == LogReader::Step::damage) {
            require(!reader.damage().message().empty(), "damage is told");
        }
        if (step == LogReader::Step::end || step == LogReader::Step::idle) break;
    }
}

std::string compressed(std::string_view content) {
    const std::string from = scratch() / "from";
    const std::string to = scratch() / "to";
    put_file(from, content);
    const UniqueFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd out(::open(to.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const std::atomic<bool> stop = false;
    const GzipFacts facts = need(time_range(in.get(), from, docker_local::format()));
    need(gzip_copy(real_file_system(), in.get(), out.get(), from, facts, stop));
    std::string bytes(need(file_size(out.get(), to)), '\0');
    require(::pread(out.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
            "what was written can be read");
    ::unlink(from.c_str());
    ::unlink(to.c_str());
    return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    scratch().clear();
    const Directory directory;
    const std::uint8_t flags = input.byte();
    const auto wanted = static_cast<std::uint64_t>(input.byte());
    const auto time = static_cast<std::int64_t>(input.upto(0xffff)) * 1'000'000'000;

    std::string older = some_file(input);
    if ((flags & 1U) != 0) {
        std::string packed = (flags & 2U) != 0 ? older : compressed(older);
        for (int flips = (flags >> 2U) & 3U; flips > 0 && !packed.empty(); --flips) {
            packed[input.upto(packed.size() - 1)] ^= static_cast<char>(input.byte());
        }
        put_file(scratch() / gzip_name, packed);
        LogFile file = directory.open(gzip_name);
        const Walk all = walk(file, LogFile::Ending::complete, 1U << 20U);
        LogFile again = directory.open(gzip_name);
        Tail sought(wanted, {.whole_lines = false});
        need(again.seek_tail(sought));
        require(wanted - sought.left() == std::min<std::uint64_t>(wanted, all.lines),
                "the tail has all there is");
    } else if ((flags & 2U) != 0) {
        put_file(scratch() / old_name, older);
    }

    const std::string content = (flags & 16U) != 0 ? std::string(input.rest()) : some_file(input);
    put_file(scratch() / plain_name, content);
    LogFile file = directory.open(plain_name);
    const Walk all = walk(file, LogFile::Ending::complete, content.size());
    for (const LogFile::Ending ending : {LogFile::Ending::growing, LogFile::Ending::uncertain}) {
        LogFile growing = directory.open(plain_name);
        (void)walk(growing, ending, content.size());
    }
    check_tail(directory, all, wanted % 8, (flags & 32U) != 0, content.size());
    check_since(directory, all, time, content.size());
    read_container(input);

    // What follows damage is found: an entry that nothing before it can swallow.
    if ((flags & 0xc0U) != 0xc0U) return 0;
    const Entry last{
        .time_ns = 1, .line = "found again", .run = 1, .position = 7, .writer = {}, .gap = {}};
    std::string end(64 + input.size(14), '\xff');
    docker_local::append(last, end);
    put_file(scratch() / plain_name, content + end);
    LogFile damaged = directory.open(plain_name);
    const Walk found = walk(damaged, LogFile::Ending::complete, content.size() + end.size());
    require(!found.entries.empty() && std::string_view(end).ends_with(found.entries.back()),
            "an entry behind damage is found");
    return 0;
}
