#include "daemon/checkpoint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <type_traits>

#include "base/file_system.h"
#include "base/hash.h"
#include "store/layout.h"

namespace twinlog {

namespace {

constexpr std::string_view file_name = "checkpoint.";
constexpr std::array<char, 8> magic = {'T', 'W', 'C', 'K', 'P', 'T', '0', '3'};

// The file as it lies on the disk; of this machine alone, so its byte order is the machine's.
struct DiskHead {
    std::array<char, 8> magic;
    std::uint64_t instance;
    std::uint32_t run;
    std::uint32_t layout;
    tw_start start;
    std::array<Checkpoint::Progress, 2> progress;
};
static_assert(std::is_trivially_copyable_v<DiskHead>);

struct DiskState {
    std::uint64_t checksum;  // of all behind it, up to the line's end
    std::uint64_t sequence;
    std::uint64_t position;
    std::int64_t time_ns;
    std::int64_t partial_time_ns;
    std::uint32_t pid;
    std::uint32_t tid;
    std::uint32_t ns_pid;
    std::int32_t ordinal;
    std::uint32_t length;
    std::array<char, TW_COMM> comm;
    std::array<char, 64> partial_id;
    std::array<char, LineSplitter::piece_size> line;
};
static_assert(std::is_trivially_copyable_v<DiskState>);

constexpr off_t first_place = 4096;
constexpr off_t place_size = 20480;
static_assert(sizeof(DiskHead) <= first_place && sizeof(DiskState) <= place_size);

off_t place_of(Source source, std::uint64_t sequence) {
    return first_place + place_size * static_cast<off_t>(2 * static_cast<int>(source) +
                                                         static_cast<int>(sequence & 1U));
}

std::size_t used_size(const DiskState& disk) {
    return offsetof(DiskState, line) + disk.length;
}

std::uint64_t checksum_of(const DiskState& disk) {
    const auto* bytes = reinterpret_cast<const char*>(&disk);
    return fnv1a({bytes + sizeof(disk.checksum), used_size(disk) - sizeof(disk.checksum)});
}

Checkpoint::Progress progress_of(std::uint64_t done, const StreamCounters& counters) {
    return {done,          counters.bytes,   counters.lost,
            counters.gaps, counters.skipped, counters.last_write_ns};
}

template <std::size_t size>
void put_text(std::array<char, size>& to, std::string_view text) {
    to = {};
    std::memcpy(to.data(), text.data(), std::min(text.size(), size));
}

template <std::size_t size>
std::string text_of(const std::array<char, size>& from) {
    return {from.data(), ::strnlen(from.data(), size)};
}

struct Left {
    std::string path;
    bool whole;  // not what write_file_atomically() was about to rename
};

std::vector<Left> left_in(const std::string& directory) {
    constexpr std::string_view draft_suffix = ".new";
    std::vector<Left> all;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        const std::string name = entry.path().filename();
        std::string_view run = name;
        if (!run.starts_with(file_name)) continue;
        run.remove_prefix(file_name.size());
        const bool whole = !run.ends_with(draft_suffix);
        if (!whole) run.remove_suffix(draft_suffix.size());
        const bool is_number =
            !run.empty() && run.find_first_not_of("0123456789") == std::string_view::npos;
        if (is_number) all.push_back({entry.path(), whole});
    }
    return all;
}

}  // namespace

void Checkpoint::Progress::apply_to(StreamCounters& counters) const {
    counters.bytes = bytes;
    counters.lost = lost;
    counters.gaps = gaps;
    counters.skipped = skipped;
    counters.last_write_ns = last_write_ns;
}

Result<Checkpoint> Checkpoint::create(const std::string& directory, const Head& head,
                                      const std::array<StreamCounters, 2>& counters) {
    const std::string path = directory + "/" + std::string(file_name) + std::to_string(head.run);
    DiskHead disk{};
    disk.magic = magic;
    disk.instance = head.instance;
    disk.run = head.run;
    disk.layout = TW_LAYOUT;
    disk.start = head.start;
    for (std::size_t i = 0; i < counters.size(); ++i)
        disk.progress[i] = progress_of(0, counters[i]);
    auto written = write_file_atomically(path, {reinterpret_cast<const char*>(&disk), sizeof(disk)},
                                         layout::file_mode);
    if (!written) return pass_on(std::move(written));
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) return fail_errno(path, "opening it");
    Checkpoint made(path, std::move(fd), head);
    made.progress_ = disk.progress;
    return made;
}

std::vector<Result<Checkpoint>> Checkpoint::load_all(const std::string& directory) {
    std::vector<Result<Checkpoint>> all;
    for (const Left& left : left_in(directory)) {
        if (left.whole) {
            all.push_back(load(left.path));
        } else if (auto removed = real_file_system().remove(left.path); !removed) {
            all.emplace_back(pass_on(std::move(removed)));
        }
    }
    return all;
}

Status Checkpoint::remove_all(const std::string& directory) {
    Status result;
    for (const Left& left : left_in(directory)) {
        if (auto removed = real_file_system().remove(left.path); !removed) result = removed;
    }
    return result;
}

Result<Checkpoint> Checkpoint::load(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) return fail_errno(path, "opening it");
    DiskHead disk{};
    const ssize_t got = ::pread(fd.get(), &disk, sizeof(disk), 0);
    if (got < 0) return fail_errno(path, "reading it");
    if (got != sizeof(disk) || disk.magic != magic || disk.layout != TW_LAYOUT) {
        return fail(path, "it is no checkpoint of this version of twinlog");
    }
    Checkpoint loaded(path, std::move(fd), Head{disk.instance, disk.run, disk.start});
    loaded.progress_ = disk.progress;
    for (const Source source : {Source::stdout_, Source::stderr_}) {
        if (auto place = loaded.load_place(source); !place) return pass_on(std::move(place));
    }
    return loaded;
}

Status Checkpoint::remove() {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return fail_errno(path_, "looking at it");
    if (status.st_nlink == 0) return {};
    return real_file_system().remove(path_);
}

Status Checkpoint::load_place(Source source) {
    Place& place = places_[static_cast<std::size_t>(source)];
    bool found = false;
    for (const std::uint64_t turn : {0U, 1U}) {
        DiskState disk{};
        const ssize_t got = ::pread(fd_.get(), &disk, sizeof(disk), place_of(source, turn));
        if (got < 0) return fail_errno(path_, "reading it");
        if (static_cast<std::size_t>(got) < offsetof(DiskState, line) ||
            disk.length > disk.line.size() || static_cast<std::size_t>(got) < used_size(disk) ||
            disk.checksum != checksum_of(disk)) {
            continue;
        }
        // The other one is of an earlier line, or of a save that a crash cut short: it is the one
        // to be written next.
        if (disk.position + disk.length != progress(source).done) {
            if (!found) place.sequence = std::max(place.sequence, disk.sequence);
            continue;
        }
        found = true;
        place.sequence = disk.sequence;
        place.saved = LineSplitter::State{.position = disk.position,
                                          .line = std::string(disk.line.data(), disk.length),
                                          .time_ns = disk.time_ns,
                                          .writer = {disk.pid, disk.tid, {}, disk.ns_pid},
                                          .comm = text_of(disk.comm),
                                          .partial_id = text_of(disk.partial_id),
                                          .ordinal = disk.ordinal,
                                          .partial_time_ns = disk.partial_time_ns};
    }
    return {};
}

Status Checkpoint::save(std::span<const Stream> streams) {
    std::array<Progress, 2> now = progress_;
    bool changed = false;
    for (const Stream& stream : streams) {
        Progress& progress = now[static_cast<std::size_t>(stream.source)];
        if (progress.done == stream.done) continue;
        if (stream.splitter.in_a_line()) {
            if (auto saved = save_line(stream.source, stream.splitter); !saved) return saved;
        }
        progress = progress_of(stream.done, stream.counters);
        changed = true;
    }
    if (!changed) return {};
    // In one page, so that no kill comes in between.
    constexpr auto place = static_cast<off_t>(offsetof(DiskHead, progress));
    if (::pwrite(fd_.get(), &now, sizeof(now), place) != sizeof(now)) {
        return fail_errno(path_, "writing it");
    }
    progress_ = now;
    return {};
}

Status Checkpoint::save_line(Source source, const LineSplitter& splitter) {
    Place& place = places_[static_cast<std::size_t>(source)];
    LineSplitter::State state = splitter.state();
    DiskState disk{};
    disk.sequence = place.sequence + 1;
    disk.position = state.position;
    disk.time_ns = state.time_ns;
    disk.partial_time_ns = state.partial_time_ns;
    disk.pid = state.writer.pid;
    disk.tid = state.writer.tid;
    disk.ns_pid = state.writer.ns_pid;
    disk.ordinal = state.ordinal;
    disk.length = static_cast<std::uint32_t>(state.line.size());
    put_text(disk.comm, state.comm);
    put_text(disk.partial_id, state.partial_id);
    std::memcpy(disk.line.data(), state.line.data(), state.line.size());
    disk.checksum = checksum_of(disk);
    const ssize_t written =
        ::pwrite(fd_.get(), &disk, used_size(disk), place_of(source, disk.sequence));
    if (written < 0) return fail_errno(path_, "writing it");
    if (static_cast<std::size_t>(written) != used_size(disk)) {
        return fail(Error{path_, "writing it", ENOSPC, {}});
    }
    place.sequence = disk.sequence;
    place.saved = std::move(state);
    return {};
}

}  // namespace twinlog
