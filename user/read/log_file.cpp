// Reading of one log file. The format has no sync marks: after damage the next position is taken
// where a length, a decodable entry and the same length again stand together.
#include "read/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "base/block_size.h"
#include "base/byte_size.h"
#include "store/clock_steps.h"

namespace twinlog {
namespace {

// Few system calls for big files, and small enough to stay in the CPU's cache.
constexpr std::size_t block_size = read_block_size(std::size_t{256} * 1024);

}  // namespace

namespace {
constexpr const char* not_regular = "not a regular file";
}  // namespace

std::string Damage::message() const {
    const std::string place = " at byte " + std::to_string(position);
    const std::string count = format_grouped(bytes) + (bytes == 1 ? " byte" : " bytes");
    const std::string of_stream = " of " + std::string(source_name(source));
    switch (kind) {
        case Kind::skipped:
            return file + ": skipped " + count + place + ": damaged";
        case Kind::torn:
            return file + ": skipped the last " + count + place + ": the entry is not complete";
        case Kind::shrunk:
            return file + ": became shorter while it was read, by " + count +
                   "; reading it from its start";
        case Kind::rotated:
            return bytes == 0
                       ? file + ": rotated away before it was read; lines may be missing here"
                       : file + ": " + count + " were rotated away before they were read";
        case Kind::compressed:
            return file + ": cannot be decompressed" + place + " of the compressed file; " + count +
                   " of it are skipped";
        case Kind::missing:
            return file + ": " + count + of_stream + (bytes == 1 ? " is" : " are") +
                   " missing before it: a file of the log, or a part of one, is gone";
        case Kind::cut:
            return file + ": " + (at_most ? "up to " : "") + count + of_stream +
                   (bytes == 1 ? " is" : " are") + " missing at the end of the log";
        case Kind::expired:
            return file + ": removed, as --" + limit + " of `twinlog run` wants it";
        case Kind::irregular:
            return file + ": " + not_regular + ": passed over";
    }
    return file;
}

Result<LogFile> LogFile::open(int directory, const std::string& name,
                              const std::string& directory_path) {
    std::string path = directory_path + "/" + name;
    // O_NONBLOCK: a FIFO in the place of the file must not hang the reader.
    UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    // O_NOFOLLOW refuses a link with ELOOP; a socket gives ENXIO.
    if (!fd.valid() && (errno == ELOOP || errno == ENXIO)) return fail(path, not_regular);
    if (!fd.valid()) return fail_errno(path, "cannot open the log");
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return fail_errno(path, "cannot look at the log");
    if (!S_ISREG(status.st_mode)) return fail(path, not_regular);
    LogFile file(std::move(fd), name, path, {status.st_dev, status.st_ino});
    if (!name.ends_with(".gz")) return file;
    auto gzip = GzipReader::open(file.fd_.get(), std::move(path));
    if (!gzip) return pass_on(std::move(gzip));
    file.gzip_ = std::move(*gzip);
    file.facts_ = read_gzip_header(file.fd_.get()).value_or(GzipFacts{});
    return file;
}

Result<std::size_t> LogFile::read_at(std::uint64_t position, char* to, std::size_t size) {
    if (gzip_) return gzip_->read_at(position, to, size);
    std::size_t done = 0;
    while (done < size) {
        const ssize_t got =
            ::pread(fd_.get(), to + done, size - done, static_cast<off_t>(position + done));
        if (got == 0) break;
        if (got < 0) {
            if (errno == EINTR) continue;
            return fail_errno(path_, "cannot read the log");
        }
        done += static_cast<std::size_t>(got);
    }
    return done;
}

Result<std::uint64_t> LogFile::size() const {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return fail_errno(path_, "cannot look at the log");
    return static_cast<std::uint64_t>(status.st_size);
}

// Reads on behind what is unread; the number of bytes, 0 at the end of the file.
Result<std::size_t> LogFile::fill() {
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    // Grows to the largest entry plus a block at most: a longer one is damage and asks for no more.
    if (buffer_.size() - end_ < block_size) buffer_.resize(end_ + block_size);
    Result<std::size_t> got = read_at(position_ + end_, buffer_.data() + end_, block_size);
    if (got) end_ += *got;
    return got;
}

void LogFile::consume(std::size_t bytes) {
    begin_ += bytes;
    position_ += bytes;
    effort_.earn(bytes);
}

void LogFile::seek(std::uint64_t position) {
    begin_ = end_ = 0;
    position_ = position;
    skipping_from_.reset();
    effort_ = {};
}

// Whether the file is shorter than what was read of it. A store that recovers from a crash cuts off
// torn entries only, which were not given out, so that is no loss.
Result<bool> LogFile::check_shrunk() {
    if (gzip_) return false;
    const Result<std::uint64_t> now = size();
    if (!now) return fail(now.error());
    if (*now >= position_) return false;
    if (skipping_from_ && *now >= *skipping_from_) {
        const std::uint64_t from = *skipping_from_;
        seek(*now);
        if (*now > from) skipping_from_ = from;
        return false;
    }
    damage_ = {Damage::Kind::shrunk, name_, *now, position_ - *now};
    lead_ = {};
    seek(0);
    return true;
}

LogFile::Step LogFile::report_skipped(Damage::Kind kind) {
    damage_ = {kind, name_, *skipping_from_, position_ - *skipping_from_};
    skipping_from_.reset();
    return Step::damage;
}

// Tells once that what follows cannot be decompressed; sets damage_.
bool LogFile::report_undecompressed() {
    if (!gzip_ || !gzip_->damaged_at() || damage_told_) return false;
    const auto whole = size();
    const std::uint64_t at = *gzip_->damaged_at();
    damage_ = {Damage::Kind::compressed, name_, at, whole && *whole > at ? *whole - at : 0};
    return damage_told_ = true;
}

// Drops the unfinished entry that begins here if a whole one follows it in the buffer.
bool LogFile::skip_to_whole_entry() {
    const std::string_view rest = unread();
    for (std::size_t at = 1; at < rest.size(); ++at) {
        const docker_local::Frame frame = docker_local::decode(rest.substr(at), &effort_);
        if (frame.state != docker_local::FrameState::whole || !frame.known_source) continue;
        if (!skipping_from_) skipping_from_ = position_;
        consume(at);
        return true;
    }
    return false;
}

Result<LogFile::Step> LogFile::next(Ending ending) {
    for (;;) {
        const docker_local::Frame frame = docker_local::decode(unread(), &effort_);
        const bool whole = frame.state == docker_local::FrameState::whole;
        // Entries of unknown sources are somebody's extension, and nobody's line. Behind damage
        // they are not believed: too few bytes make one.
        if (whole && (frame.known_source || !skipping_from_)) {
            if (skipping_from_) return report_skipped(Damage::Kind::skipped);
            consume(frame.size);
            if (!frame.known_source) continue;
            if (position_ <= lead_.end && !lead_.has(frame.entry)) continue;
            entry_ = frame.entry;
            entry_size_ = frame.size;
            return Step::entry;
        }
        if (frame.state != docker_local::FrameState::need_more) {
            if (!skipping_from_) skipping_from_ = position_;
            if (whole) effort_.spend(frame.size);
            consume(1);
            continue;
        }

        const Result<std::size_t> got = fill();
        if (!got) return fail(got.error());
        if (*got > 0) continue;

        const std::size_t rest = end_ - begin_;
        const bool search = ending != Ending::growing || skipping_from_;
        if (rest > 0 && search && skip_to_whole_entry()) continue;
        if (ending == Ending::complete && (rest > 0 || skipping_from_)) {
            const bool torn = !skipping_from_;
            if (torn) skipping_from_ = position_;
            consume(rest);
            return report_skipped(torn ? Damage::Kind::torn : Damage::Kind::skipped);
        }
        if (report_undecompressed()) return Step::damage;
        // The unfinished entry is read afresh next time: after a crash it may have been cut off and
        // another written in its place.
        end_ = begin_;
        const Result<bool> shrunk = check_shrunk();
        if (!shrunk) return fail(shrunk.error());
        return *shrunk ? Step::damage : Step::at_end;
    }
}

Status LogFile::seek_tail(Tail& tail) {
    lead_ = {};
    const bool is_before = tail.is_full() && !tail.is_done();
    Lead all{std::numeric_limits<std::uint64_t>::max(), tail.open()};
    Result<std::optional<std::uint64_t>> start = std::nullopt;
    if (!gzip_) {
        const Tail fresh = tail;
        start = find_tail(tail);
        if (start && !*start) tail = fresh;
    }
    if (start && !*start) {
        lead_ = {};
        start = find_tail_forward(tail);
    }
    if (!start) return fail(start.error());
    if (is_before) lead_ = std::move(all);
    // Fewer than wanted: from the very beginning, so that damage there is told, too.
    seek(tail.is_full() ? **start : 0);
    return {};
}

// The entry before the one that was taken last. True: the tail has it.
bool LogFile::take(Tail& tail, const Entry& entry, std::uint64_t from, std::size_t size) {
    const bool was_full = tail.is_full();
    const bool taken = tail.take(entry, size);
    if (!was_full && tail.is_full()) lead_ = {from, tail.open()};
    return taken;
}

// Twice through the file: a compressed one has no way back.
Result<std::optional<std::uint64_t>> LogFile::find_tail_forward(Tail& tail) {
    seek(0);
    TailMemory memory(tail);
    for (;;) {
        const Result<Step> step = next(Ending::complete);
        if (!step) return fail(step.error());
        if (*step == Step::at_end) break;
        if (*step == Step::entry) memory.add(entry_, position_ - entry_size_, entry_size_);
    }
    damage_told_ = false;
    std::uint64_t start = position_;
    memory.backwards([&](const Entry& entry, std::uint64_t from, std::size_t size) {
        if (tail.is_done()) return false;
        if (take(tail, entry, from, size)) start = from;
        return true;
    });
    return start;
}

// None: behind damage there is so much that looks like entries that they cannot be told apart from
// behind.
Result<std::optional<std::uint64_t>> LogFile::find_tail(Tail& tail) {
    const Result<std::uint64_t> length = size();
    if (!length) return fail(length.error());

    std::vector<char> window;  // what was read of the file, from window_begin on
    std::uint64_t window_begin = *length;
    std::uint64_t window_end = *length;
    // Makes [from, to) of the file part of the window; false if the file shrank meanwhile.
    const auto load = [&](std::uint64_t from, std::uint64_t to) -> Result<bool> {
        if (from >= window_begin && to <= window_end) return true;
        window_begin = from > block_size ? from - block_size : 0;
        window_end = to;
        window.resize(static_cast<std::size_t>(window_end - window_begin));
        const Result<std::size_t> got = read_at(window_begin, window.data(), window.size());
        if (!got) return fail(got.error());
        return *got == window.size();
    };
    const auto view = [&](std::uint64_t from, std::uint64_t to) {
        return std::string_view(window.data() + (from - window_begin),
                                static_cast<std::size_t>(to - from));
    };

    std::uint64_t start = *length;
    bool any = false;
    for (std::uint64_t at = *length; at >= docker_local::frame_overhead;) {
        const std::uint64_t trailer = at - docker_local::length_size;
        Result<bool> loaded = load(trailer, at);
        if (!loaded) return fail(loaded.error());
        if (!*loaded) break;
        // A frame's size as its trailer gives it, 0 for an impossible one.
        const std::size_t size = docker_local::frame_size_from_trailer(view(trailer, at));
        bool whole = false;
        if (size > 0 && size <= at) {
            const std::uint64_t from = at - size;
            // Looks at the leading length alone first: behind damage most trailers are no trailers.
            std::array<char, docker_local::length_size> head{};
            if (from < window_begin) {
                const Result<std::size_t> got = read_at(from, head.data(), head.size());
                if (!got) return fail(got.error());
                if (*got != head.size()) break;
            } else {
                std::copy_n(view(from, from + head.size()).data(), head.size(), head.data());
            }
            if (std::string_view(head.data(), head.size()) == view(trailer, at)) {
                if (!effort_.allows(size)) return std::nullopt;
                loaded = load(from, at);
                if (!loaded) return fail(loaded.error());
                if (!*loaded) break;
                const docker_local::Frame frame = docker_local::decode(view(from, at), &effort_);
                whole = frame.state == docker_local::FrameState::whole && frame.size == size;
                if (whole) {
                    // Behind a torn end.
                    if (!std::exchange(any, true)) start = at;
                    if (tail.is_done()) break;
                    if (frame.known_source && take(tail, frame.entry, from, size)) start = from;
                    if (tail.is_done()) break;
                    at = from;
                    effort_.earn(size);
                }
            }
        }
        if (whole) continue;
        --at;
        effort_.earn(1);
    }
    return start;
}

namespace {

// Entries that one after the other fill some bytes from `next` on.
struct Chain {
    std::size_t start = 0;
    std::size_t next = 0;
};

// Where an entry begins in the first half of a piece of a file. A line may hold bytes that look
// like entries, even so that they go on in the next lines: only if all that can be entries come
// together at the same places is it sure.
std::optional<std::size_t> find_entry(std::string_view bytes) {
    std::vector<Chain> chains;
    for (std::size_t at = 0; at < bytes.size();) {
        const auto chain = std::find_if(chains.begin(), chains.end(),
                                        [at](const Chain& item) { return item.next == at; });
        const bool is_known = chain != chains.end();
        if (is_known || (at < bytes.size() / 2 && bytes[at] == 0)) {
            const Frame frame = docker_local::decode(bytes.substr(at));
            if (frame.state == FrameState::whole) {
                const std::size_t next = at + frame.size;
                const bool joins =
                    std::any_of(chains.begin(), chains.end(),
                                [next](const auto& item) { return item.next == next; });
                if (is_known && joins) {
                    chains.erase(chain);
                } else if (is_known) {
                    chain->next = next;
                } else if (!joins) {
                    chains.push_back({at, next});
                }
            } else if (is_known && frame.state == FrameState::damaged) {
                chains.erase(chain);
            } else if (is_known) {
                chain->next = bytes.size();
            }
        }
        // The next place where anything can begin: the first byte of a length is zero.
        std::size_t next = bytes.size();
        if (at + 1 < bytes.size() / 2) next = std::min(next, bytes.find('\0', at + 1));
        for (const Chain& item : chains) {
            if (item.next > at) next = std::min(next, item.next);
        }
        at = next;
    }
    if (chains.size() != 1) return std::nullopt;
    return chains.front().start;
}

}  // namespace

Result<std::optional<LogFile::Look>> LogFile::look_at(std::uint64_t position) {
    constexpr std::size_t look_size = std::size_t{64} * 1024;
    constexpr int most_entries = 64;
    std::vector<char> bytes(look_size);
    const Result<std::size_t> got = read_at(position, bytes.data(), bytes.size());
    if (!got) return fail(got.error());
    const std::string_view there(bytes.data(), *got);
    const std::optional<std::size_t> start = position == 0 ? 0 : find_entry(there);
    if (!start) return std::optional<Look>();
    std::optional<Look> look;
    std::size_t at = *start;
    for (int count = 0; count < most_entries; ++count) {
        const Frame frame = docker_local::decode(there.substr(at));
        if (frame.state != FrameState::whole) break;
        at += frame.size;
        if (!frame.known_source || !has_own_time(frame.entry)) continue;
        if (!look) look = Look{position + *start, frame.entry.time_ns};
        look->newest = std::max(look->newest, frame.entry.time_ns);
    }
    return look;
}

Status LogFile::seek_time(std::int64_t time_ns) {
    constexpr std::int64_t disorder = time_disorder_ns;
    constexpr std::uint64_t near_enough = block_size;
    if (gzip_ || time_ns < std::numeric_limits<std::int64_t>::min() + disorder) return {};
    const Result<std::uint64_t> length = size();
    if (!length) return fail(length.error());
    std::uint64_t low = 0;
    std::uint64_t high = *length;
    std::optional<std::int64_t> before;  // newest of what stands at low
    while (high - low > near_enough) {
        const std::uint64_t middle = low + (high - low) / 2;
        const auto look = look_at(middle);
        if (!look) return fail(look.error());
        if (!*look || (*look)->position >= high) break;
        // The clock was set back: what is sorted by halves must be in order.
        if (before && (*look)->newest < *before - disorder) {
            low = 0;
            break;
        }
        if ((*look)->newest >= time_ns - disorder) {
            high = middle;
        } else {
            low = (*look)->position;
            before = (*look)->newest;
        }
    }
    const auto last = low > 0 ? newest_time() : Result<std::optional<std::int64_t>>();
    if (!last) return fail(last.error());
    if (before && *last && **last < *before - disorder) low = 0;
    seek(low);
    return {};
}

Result<std::optional<std::int64_t>> LogFile::newest_time() {
    if (gzip_) return facts_.last_ns;
    constexpr std::size_t tail_size = std::size_t{256} * 1024;
    constexpr int most_entries = 64;
    const Result<std::uint64_t> length = size();
    if (!length) return fail(length.error());
    std::vector<char> bytes(std::min<std::uint64_t>(*length, tail_size));
    const Result<std::size_t> got = read_at(*length - bytes.size(), bytes.data(), bytes.size());
    if (!got) return fail(got.error());
    std::string_view rest(bytes.data(), *got);
    std::optional<std::int64_t> newest;
    for (int count = 0; count < most_entries && rest.size() >= docker_local::frame_overhead;
         ++count) {
        const std::size_t size = docker_local::frame_size_from_trailer(
            rest.substr(rest.size() - docker_local::length_size));
        // Damaged: nothing can be said of the file.
        if (size == 0) return std::optional<std::int64_t>();
        if (size > rest.size()) break;
        const Frame frame = docker_local::decode(rest.substr(rest.size() - size));
        if (frame.state != FrameState::whole) return std::optional<std::int64_t>();
        rest.remove_suffix(size);
        if (!has_own_time(frame.entry)) continue;
        newest = std::max(newest.value_or(frame.entry.time_ns), frame.entry.time_ns);
    }
    return newest;
}

Result<std::optional<std::int64_t>> LogFile::first_time() {
    if (gzip_) return facts_.first_ns;
    std::vector<char> bytes(std::size_t{64} * 1024);
    const Result<std::size_t> got = read_at(0, bytes.data(), bytes.size());
    if (!got) return fail(got.error());
    const Frame frame = docker_local::decode(std::string_view(bytes.data(), *got));
    if (frame.state != FrameState::whole) return std::optional<std::int64_t>();
    return std::optional<std::int64_t>(frame.entry.time_ns);
}

}  // namespace twinlog
