// Batches, rotation and recovery of a cached log.
#include "store/log_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "format/docker_local.h"
#include "store/layout.h"

namespace twinlog {

namespace {

// Recovery reads a file in blocks of this size.
constexpr std::size_t block_size = std::size_t{1} << 20U;

// How much of its stream an entry stands for: a complete line had a newline that is not stored.
std::uint64_t stream_bytes(const Entry& entry) {
    if (entry.gap) return entry.gap->bytes;
    const bool complete = !entry.partial || entry.partial->last;
    return entry.line.size() + (complete ? 1 : 0);
}

// As pread(2), but short only at the file's end.
Result<std::size_t> read_at(int fd, std::uint64_t offset, char* to, std::size_t size,
                            const std::string& path) {
    std::size_t done = 0;
    while (done < size) {
        const ssize_t got = ::pread(fd, to + done, size - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(path, "reading it");
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

struct Scan {
    std::uint64_t good = 0;  // bytes of whole entries from the file's beginning
    std::uint32_t last_run = 0;
    std::array<std::uint64_t, 2> next_positions{};  // of last_run, by Source
};

void note(const Entry& entry, Scan& scan) {
    if (entry.run == 0) return;
    if (entry.run != scan.last_run) scan.next_positions = {};
    scan.last_run = entry.run;
    scan.next_positions[static_cast<std::size_t>(entry.source)] =
        entry.position + stream_bytes(entry);
}

// Walks over all entries from the beginning: only so is it sure where one begins, because a line
// may hold bytes that look like entries.
Result<Scan> scan(int fd, const std::string& path) {
    Scan result;
    std::string block;
    std::size_t at = 0;  // in the block; the file's byte result.good
    for (;;) {
        const auto frame = docker_local::decode(std::string_view(block).substr(at));
        if (frame.state == docker_local::FrameState::damaged) return result;
        if (frame.state == docker_local::FrameState::whole) {
            note(frame.entry, result);
            at += frame.size;
            result.good += frame.size;
            continue;
        }
        block.erase(0, at);
        at = 0;
        const std::size_t have = block.size();
        block.resize(std::max(frame.size, block_size));
        auto got = read_at(fd, result.good + have, block.data() + have, block.size() - have, path);
        if (!got) return pass_on(std::move(got));
        if (*got == 0) return result;
        block.resize(have + *got);
    }
}

// Where the last byte stands that is not zero, plus one; not before `from`.
Result<std::uint64_t> end_without_zeros(int fd, std::uint64_t from, std::uint64_t to,
                                        const std::string& path) {
    std::string block;
    while (from < to) {
        block.resize(std::min<std::uint64_t>(block_size, to - from));
        const std::uint64_t begin = to - block.size();
        auto got = read_at(fd, begin, block.data(), block.size(), path);
        if (!got) return pass_on(std::move(got));
        const std::size_t last = std::string_view(block.data(), *got).find_last_not_of('\0');
        if (last != std::string_view::npos) return begin + last + 1;
        to = begin;
    }
    return from;
}

// Whether [from, to) of a file is what a crash of the daemon or of the host leaves behind the last
// whole entry: the beginning of another one, zeros, or the one followed by the other.
Result<bool> is_crash_tail(int fd, std::uint64_t from, std::uint64_t to, const std::string& path) {
    auto end = end_without_zeros(fd, from, to, path);
    if (!end) return pass_on(std::move(end));
    if (*end - from > docker_local::max_message + docker_local::frame_overhead) return false;
    std::string tail(*end - from, '\0');
    auto got = read_at(fd, from, tail.data(), tail.size(), path);
    if (!got) return pass_on(std::move(got));
    return docker_local::begins_frame(std::string_view(tail.data(), *got));
}

}  // namespace

std::string Recovery::describe() const {
    const std::string bytes = std::to_string(cut_bytes) + (cut_bytes == 1 ? " byte" : " bytes");
    if (gave_up_file) return "the log's last file is damaged: it was put aside and a new one begun";
    if (cut_bytes > 0) return bytes + " that are no whole entry were cut off the log's end";
    return {};
}

std::string LogWriter::path(int number) const {
    return directory_ + "/" + layout::log_name(number);
}

bool LogWriter::is_full(std::uint64_t size) const {
    return options_.max_size > 0 && size >= static_cast<std::uint64_t>(options_.max_size);
}

Result<std::unique_ptr<LogWriter>> LogWriter::open(FileSystem& files, std::string directory,
                                                   const Options& options) {
    std::unique_ptr<LogWriter> writer(new LogWriter(files, std::move(directory), options));
    if (auto opened = writer->open_current(); !opened) return pass_on(std::move(opened));
    if (auto recovered = writer->recover(); !recovered) return pass_on(std::move(recovered));
    return writer;
}

Status LogWriter::open_current() {
    auto file = files_.open_log(path(0), layout::file_mode);
    if (!file) return pass_on(std::move(file));
    auto size = file_size(file->get(), path(0));
    if (!size) return pass_on(std::move(size));
    file_ = std::move(*file);
    size_ = *size;
    torn_ = false;
    return {};
}

// A writer that meets damage gives the file up; only what a crash leaves at the end is cut.
Status LogWriter::recover() {
    auto found = scan(file_.get(), path(0));
    if (!found) return pass_on(std::move(found));
    recovery_.last_run = found->last_run;
    recovery_.next_positions = found->next_positions;
    if (found->last_run == 0 && options_.max_file > 1) {
        // Rotated a moment before the end: the run is told by the file before.
        const UniqueFd rotated(::open(path(1).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (rotated.valid()) {
            auto before = scan(rotated.get(), path(1));
            if (!before) return pass_on(std::move(before));
            recovery_.last_run = before->last_run;
            recovery_.next_positions = before->next_positions;
        }
    }
    if (found->good == size_) return {};
    auto by_crash = is_crash_tail(file_.get(), found->good, size_, path(0));
    if (!by_crash) return pass_on(std::move(by_crash));
    // With a single file there is nowhere to put it: its good entries are worth more than its bad.
    if (!*by_crash && options_.max_file > 1) {
        recovery_.gave_up_file = true;
        return rotate();
    }
    if (files_.truncate(file_.get(), found->good) != 0) {
        return fail_errno(path(0), "cutting a torn entry off");
    }
    recovery_.cut_bytes = size_ - found->good;
    size_ = found->good;
    return {};
}

// The order of moby daemon/logger/loggerutils/logfile.go: oldest away, shift, begin anew.
Status LogWriter::rotate() {
    if (options_.max_file <= 1) {
        if (auto removed = files_.remove(path(0)); !removed) return removed;
    } else {
        if (auto removed = files_.remove(path(options_.max_file - 1)); !removed) return removed;
        for (int number = options_.max_file - 1; number > 0; --number) {
            auto renamed = files_.rename(path(number - 1), path(number));
            if (!renamed && renamed.error().code != ENOENT) return renamed;
        }
    }
    // Should the new file fail, the next try must make it, not rotate again: that would throw a
    // file away each time.
    file_.reset();
    return open_current();
}

Status LogWriter::make_appendable() {
    if (!file_.valid()) return open_current();
    if (!torn_) return {};
    if (files_.truncate(file_.get(), size_) == 0) {
        torn_ = false;
        return {};
    }
    // Nothing may follow a torn entry in the same file.
    if (options_.max_file <= 1) return fail_errno(path(0), "cutting a torn entry off");
    return rotate();
}

void LogWriter::append(const Entry& entry) {
    const std::size_t before = buffer_.size();
    docker_local::append(entry, buffer_);
    frames_.push_back(
        {buffer_.size() - before,
         {entry.source, entry.run, entry.position, stream_bytes(entry), entry.time_ns}});
    if (buffer_.size() <= buffer_limit) return;
    if (auto written = write_or_drop(); !written) deferred_ = std::move(written).error();
}

std::uint64_t LogWriter::dropped_bytes() const {
    std::uint64_t bytes = 0;
    for (const Loss& debt : debts_) bytes += debt.bytes;
    return bytes;
}

// Writes all bytes, or says how many are in the file.
Status LogWriter::write_out(std::string_view bytes, std::size_t& written) {
    written = 0;
    while (written < bytes.size()) {
        const ssize_t taken = files_.write(file_.get(), bytes.substr(written));
        if (taken < 0 && errno == EINTR) continue;
        if (taken == 0) errno = EIO;
        if (taken <= 0) {
            return fail_errno(path(0), "writing it",
                              "what is lost meanwhile will be a gap in the log");
        }
        written += static_cast<std::size_t>(taken);
    }
    return {};
}

// What is owed becomes entries like any other, in front of those that came later.
void LogWriter::put_debts_first() {
    std::string gaps;
    for (auto debt = debts_.rbegin(); debt != debts_.rend(); ++debt) {
        std::string frame;
        docker_local::append(Entry{.source = debt->source,
                                   .time_ns = debt->time_ns,
                                   .line = {},
                                   .partial = {},
                                   .run = debt->run,
                                   .position = debt->position,
                                   .writer = {},
                                   .gap = Gap{debt->bytes, GapReason::store}},
                             frame);
        frames_.push_front({frame.size(), *debt});
        gaps.insert(0, frame);
    }
    buffer_.insert(0, gaps);
    debts_.clear();
}

void LogWriter::drop_pending() {
    for (const PendingFrame& frame : frames_) {
        const Loss& loss = frame.loss;
        if (loss.bytes == 0) continue;
        const auto debt = std::find_if(debts_.begin(), debts_.end(), [&loss](const Loss& known) {
            return known.source == loss.source && known.run == loss.run;
        });
        if (debt == debts_.end()) {
            debts_.push_back(loss);
        } else {
            debt->bytes += loss.bytes;
            debt->time_ns = loss.time_ns;
        }
    }
    frames_.clear();
    buffer_.clear();
}

Status LogWriter::write_pending() {
    if (auto ready = make_appendable(); !ready) return ready;
    put_debts_first();
    std::string_view rest = buffer_;
    while (!frames_.empty()) {
        if (is_full(size_)) {
            if (auto rotated = rotate(); !rotated) return rotated;
        }
        // As many entries as fit before the next rotation; the last may reach over.
        std::size_t bytes = 0;
        std::size_t count = 0;
        while (count < frames_.size() && (count == 0 || !is_full(size_ + bytes))) {
            bytes += frames_[count++].size;
        }
        std::size_t written = 0;
        auto done = write_out(rest.substr(0, bytes), written);
        if (!done) {
            // Whole entries stay; half of one is cut off.
            std::size_t whole = 0;
            while (!frames_.empty() && whole + frames_.front().size <= written) {
                whole += frames_.front().size;
                frames_.pop_front();
            }
            size_ += whole;
            torn_ = written > whole && files_.truncate(file_.get(), size_) != 0;
            return done;
        }
        frames_.erase(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(count));
        rest.remove_prefix(bytes);
        size_ += bytes;
    }
    buffer_.clear();
    return {};
}

// Writes what waits or makes it debts; the error if it is news.
Status LogWriter::write_or_drop() {
    auto written = write_pending();
    if (written) {
        reported_code_ = 0;
        return {};
    }
    drop_pending();
    if (written.error().code == reported_code_) return {};
    reported_code_ = written.error().code;
    return written;
}

Status LogWriter::flush() {
    Status result;
    if (!frames_.empty() || !debts_.empty()) result = write_or_drop();
    if (result && deferred_) result = fail(std::move(*deferred_));
    deferred_.reset();
    return result;
}

}  // namespace twinlog
