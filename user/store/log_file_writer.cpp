// Batches, rotation and recovery of one log.
#include "store/log_file_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string_view>

#include "base/block_size.h"
#include "format/docker_local.h"
#include "store/gzip.h"
#include "store/layout.h"

namespace twinlog {

namespace {

// Recovery reads a file in blocks of this size.
constexpr std::size_t block_size = read_block_size(std::size_t{1} << 20U);

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
    ClockSteps clock;
};

void note(const Entry& entry, Scan& scan) {
    if (entry.run == 0) return;
    scan.clock.pass(entry);
    if (entry.run != scan.last_run) scan.next_positions = {};
    scan.last_run = entry.run;
    scan.next_positions[static_cast<std::size_t>(entry.source)] =
        entry.position + stream_bytes(entry);
}

// Walks over all entries from the beginning: only so is it sure where one begins, because a line
// may hold bytes that look like entries.
using ReadAt = std::function<Result<std::size_t>(std::uint64_t offset, char* to, std::size_t size)>;

ReadAt reader_of(int fd, const std::string& path) {
    return [fd, &path](std::uint64_t offset, char* to, std::size_t size) {
        return read_at(fd, offset, to, size, path);
    };
}

Result<Scan> scan(const ReadAt& read) {
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
        auto got = read(result.good + have, block.data() + have, block.size() - have);
        if (!got) return pass_on(std::move(got));
        if (*got == 0) return result;
        block.resize(have + *got);
    }
}

// A file before the live one, plain or compressed.
class RotatedFile {
 public:
    // number: 1 is the newest.
    static Result<RotatedFile> open(const Rotation& rotation, int number) {
        RotatedFile found;
        for (const bool compressed : {false, true}) {
            found.path_ = rotation.path({number, compressed});
            found.fd_.reset(
                ::open(found.path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
            if (!found.fd_.valid()) continue;
            if (!compressed) break;
            auto gzip = GzipReader::open(found.fd_.get(), found.path_);
            if (!gzip) return pass_on(std::move(gzip));
            found.gzip_ = std::move(*gzip);
        }
        return found;
    }

    [[nodiscard]] bool is_there() const { return fd_.valid(); }

    // Nothing where there is no such file.
    [[nodiscard]] ReadAt reader() const {
        return [this](std::uint64_t offset, char* to, std::size_t size) -> Result<std::size_t> {
            if (!fd_.valid()) return std::size_t{0};
            if (gzip_) return gzip_->read_at(offset, to, size);
            return read_at(fd_.get(), offset, to, size, path_);
        };
    }

    // So many bytes from its end, or all.
    [[nodiscard]] Result<std::string> tail(std::size_t most) const {
        const ReadAt read = reader();
        std::string end;
        for (std::uint64_t at = 0;;) {
            const std::size_t have = end.size();
            end.resize(have + block_size);
            auto got = read(at, end.data() + have, block_size);
            if (!got) return pass_on(std::move(got));
            at += *got;
            end.resize(have + *got);
            if (end.size() > most) end.erase(0, end.size() - most);
            if (*got == 0) return end;
        }
    }

 private:
    std::string path_;
    UniqueFd fd_;
    std::unique_ptr<GzipReader> gzip_;
};

// The whole entries at the end of some bytes: backwards over the lengths, because where an entry
// begins is sure from the end only.
std::string_view entries_at_end(std::string_view bytes) {
    std::size_t begin = bytes.size();
    while (begin >= docker_local::frame_overhead) {
        const std::size_t size =
            docker_local::frame_size_from_trailer(bytes.substr(begin - docker_local::length_size));
        if (size == 0 || size > begin) break;
        begin -= size;
    }
    return bytes.substr(begin);
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

LogFileWriter::LogFileWriter(FileSystem& files, Options options)
    : files_(files), options_(std::move(options)), encoder_(options_.format.encoder()) {
    const std::string& path = options_.path;
    const auto& housekeeper = options_.housekeeper;
    rotation_ = housekeeper
                    ? housekeeper->rotation_of(files_, path, options_.max_file, options_.format)
                    : std::make_shared<Rotation>(files_, path, options_.max_file, options_.format);
}

bool LogFileWriter::is_full(std::uint64_t size) const {
    return options_.max_size > 0 && size >= static_cast<std::uint64_t>(options_.max_size);
}

Result<std::unique_ptr<LogFileWriter>> LogFileWriter::open(FileSystem& files, Options options) {
    std::unique_ptr<LogFileWriter> writer(new LogFileWriter(files, std::move(options)));
    if (auto cleaned = writer->rotation_->clean(); !cleaned) return pass_on(std::move(cleaned));
    struct stat status {};
    writer->is_new_ = ::lstat(writer->options_.path.c_str(), &status) != 0 && errno == ENOENT;
    if (auto opened = writer->open_current(); !opened) return pass_on(std::move(opened));
    if (auto recovered = writer->recover(); !recovered) return pass_on(std::move(recovered));
    const auto& housekeeper = writer->options_.housekeeper;
    if (housekeeper && writer->options_.compress) housekeeper->compress(writer->rotation_);
    return writer;
}

Status LogFileWriter::open_current() {
    auto file = files_.open_log(options_.path, layout::file_mode);
    if (!file) return pass_on(std::move(file));
    auto size = file_size(file->get(), options_.path);
    if (!size) return pass_on(std::move(size));
    file_ = std::move(*file);
    size_ = *size;
    torn_ = false;
    return {};
}

Status LogFileWriter::recover() {
    switch (options_.format.ending()) {
        case Ending::frame:
            return recover_frames();
        case Ending::line:
            return recover_line();
        case Ending::nothing:
            break;
    }
    return {};
}

// Cuts the last line if it has no newline, or if the disk never got its bytes.
Status LogFileWriter::recover_line() {
    auto end = end_without_zeros(file_.get(), 0, size_, options_.path);
    if (!end) return pass_on(std::move(end));
    std::string block;
    std::uint64_t good = *end;
    for (std::uint64_t to = *end; to > 0;) {
        block.resize(std::min<std::uint64_t>(block_size, to));
        const std::uint64_t begin = to - block.size();
        auto got = read_at(file_.get(), begin, block.data(), block.size(), options_.path);
        if (!got) return pass_on(std::move(got));
        const std::size_t newline = std::string_view(block.data(), *got).rfind('\n');
        good = newline == std::string_view::npos ? begin : begin + newline + 1;
        if (newline != std::string_view::npos) break;
        to = begin;
    }
    if (good == size_) return {};
    if (files_.truncate(file_.get(), good) != 0) {
        return fail_errno(options_.path, "cutting a torn entry off");
    }
    recovery_.cut_bytes = size_ - good;
    size_ = good;
    return {};
}

// A writer that meets damage gives the file up; only what a crash leaves at the end is cut.
Status LogFileWriter::recover_frames() {
    auto found = scan(reader_of(file_.get(), options_.path));
    if (!found) return pass_on(std::move(found));
    recovery_.last_run = found->last_run;
    recovery_.next_positions = found->next_positions;
    recovery_.clock = found->clock;
    if (found->last_run == 0 && options_.max_file > 1) {
        // Rotated a moment before the end: the run is told by the file before.
        const auto rotated = RotatedFile::open(*rotation_, 1);
        if (!rotated) return fail(rotated.error());
        auto before = scan(rotated->reader());
        if (!before) return pass_on(std::move(before));
        recovery_.last_run = before->last_run;
        recovery_.next_positions = before->next_positions;
        if (found->clock.newest_ns == 0) recovery_.clock = before->clock;
    }
    if (found->good == size_) return {};
    auto by_crash = is_crash_tail(file_.get(), found->good, size_, options_.path);
    if (!by_crash) return pass_on(std::move(by_crash));
    // With a single file there is nowhere to put it: its good entries are worth more than its bad.
    if (!*by_crash && options_.max_file > 1) {
        recovery_.gave_up_file = true;
        return rotate();
    }
    if (files_.truncate(file_.get(), found->good) != 0) {
        return fail_errno(options_.path, "cutting a torn entry off");
    }
    recovery_.cut_bytes = size_ - found->good;
    size_ = found->good;
    return {};
}

Status LogFileWriter::rotate() {
    if (auto rotated = rotation_->rotate(); !rotated) return rotated;
    if (options_.housekeeper && options_.max_file > 1) {
        options_.housekeeper->rotated(size_);
        if (options_.compress) options_.housekeeper->compress(rotation_);
    }
    // Should the new file fail, the next try must make it, not rotate again: that would throw a
    // file away each time.
    file_.reset();
    return open_current();
}

Status LogFileWriter::make_appendable() {
    if (!file_.valid()) return open_current();
    if (!torn_) return {};
    if (files_.truncate(file_.get(), size_) == 0) {
        torn_ = false;
        return {};
    }
    // Nothing may follow a torn entry in the same file.
    if (options_.max_file <= 1) return fail_errno(options_.path, "cutting a torn entry off");
    return rotate();
}

void LogFileWriter::append(const Entry& entry) {
    if (options_.only && entry.source != *options_.only) return;
    const std::size_t before = buffer_.size();
    encoder_->append(entry, buffer_);
    take(entry, buffer_.size() - before);
}

void LogFileWriter::append(const Entry& entry, std::string_view frame) {
    if (options_.only && entry.source != *options_.only) return;
    buffer_ += frame;
    take(entry, frame.size());
}

// The buffer's last `size` bytes are the entry.
void LogFileWriter::take(const Entry& entry, std::size_t size) {
    frames_.push_back({size,
                       {entry.source, entry.run, entry.position, stream_bytes(entry), entry.time_ns,
                        entry.gap.has_value()}});
    if (buffer_.size() > buffer_limit) write();
}

void LogFileWriter::write() {
    if (auto written = write_or_drop(); !written) deferred_ = std::move(written).error();
}

std::uint64_t LogFileWriter::dropped_bytes() const {
    std::uint64_t bytes = 0;
    for (const Loss& debt : debts_) bytes += debt.bytes;
    return bytes;
}

// Writes all bytes, or says how many are in the file.
Status LogFileWriter::write_out(std::string_view bytes, std::size_t& written) {
    written = 0;
    while (written < bytes.size()) {
        const ssize_t taken = files_.write(file_.get(), bytes.substr(written));
        if (taken < 0 && errno == EINTR) continue;
        if (taken == 0) errno = EIO;
        if (taken <= 0) {
            return fail_errno(options_.path, "writing it");
        }
        written += static_cast<std::size_t>(taken);
    }
    return {};
}

// What is owed becomes entries like any other, in front of those that came later.
void LogFileWriter::put_debts_first() {
    std::string gaps;
    for (auto debt = debts_.rbegin(); debt != debts_.rend(); ++debt) {
        std::string frame;
        encoder_->append(Entry{.source = debt->source,
                               .time_ns = debt->time_ns,
                               .line = {},
                               .partial = {},
                               .run = debt->run,
                               .position = debt->position,
                               .writer = {},
                               .gap = Gap{debt->bytes, GapReason::store}},
                         frame);
        frames_.push_front({frame.size(), *debt});
        frames_.front().loss.known = true;
        gaps.insert(0, frame);
    }
    buffer_.insert(0, gaps);
    debts_.clear();
}

void LogFileWriter::drop_pending() {
    for (const PendingFrame& frame : frames_) {
        const Loss& loss = frame.loss;
        if (loss.bytes == 0) continue;
        const auto debt = std::find_if(debts_.begin(), debts_.end(), [&loss](const Loss& known) {
            return known.source == loss.source && known.run == loss.run;
        });
        Dropped& dropped = dropped_[static_cast<std::size_t>(loss.source)];
        if (!loss.known) dropped.bytes += loss.bytes;
        if (debt == debts_.end()) {
            if (!loss.known) ++dropped.places;
            debts_.push_back(loss);
        } else {
            debt->bytes += loss.bytes;
            debt->time_ns = loss.time_ns;
        }
    }
    frames_.clear();
    buffer_.clear();
}

Status LogFileWriter::write_pending() {
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
Status LogFileWriter::write_or_drop() {
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

Status LogFileWriter::flush() {
    Status result;
    if (!frames_.empty() || !debts_.empty()) result = write_or_drop();
    if (result && deferred_) result = fail(std::move(*deferred_));
    deferred_.reset();
    if (!result) return result;
    if (auto error = rotation_->take_error()) return fail(std::move(*error));
    return result;
}

// The last bytes of the log: of the live file, and where that has fewer, of those before it.
Result<std::string> LogFileWriter::tail(std::size_t most_bytes) const {
    std::string tail(std::min<std::uint64_t>(size_, most_bytes), '\0');
    auto got = read_at(file_.get(), size_ - tail.size(), tail.data(), tail.size(), options_.path);
    if (!got) return pass_on(std::move(got));
    tail.resize(*got);
    for (int number = 1; number < options_.max_file && tail.size() < most_bytes; ++number) {
        const auto rotated = RotatedFile::open(*rotation_, number);
        if (!rotated) return fail(rotated.error());
        // A rotation that did not get to its end leaves a number that nobody has.
        if (!rotated->is_there()) continue;
        auto before = rotated->tail(most_bytes - tail.size());
        if (!before) return before;
        tail.insert(0, *before);
    }
    return tail;
}

Result<std::string> LogFileWriter::tail_as(EntryEncoder& encoder, std::optional<Source> only,
                                           std::size_t most_bytes) const {
    const auto bytes = tail(most_bytes);
    if (!bytes) return fail(bytes.error());
    std::string text;
    std::string_view rest = entries_at_end(*bytes);
    while (!rest.empty()) {
        const Frame frame = docker_local::decode(rest);
        if (frame.state != FrameState::whole) break;
        if (frame.known_source && (!only || frame.entry.source == *only)) {
            encoder.append(frame.entry, text);
        }
        rest.remove_prefix(frame.size);
    }
    return text;
}

Result<bool> LogFileWriter::catch_up(std::string_view text) {
    // Enough bytes to find the place, and to find it once where lines bear their times.
    constexpr std::size_t most_compared = 4096;
    const auto end = tail(most_compared);
    if (!end) return fail(end.error());
    // A log that begins just now holds nothing from before.
    if ((end->empty() && is_new_) || text.empty()) return true;
    const std::size_t place = end->empty() ? 0 : text.rfind(*end);
    if (place == std::string_view::npos) return false;
    const std::string_view missing = text.substr(place + end->size());
    std::size_t written = 0;
    if (const Status done = write_out(missing, written); !done) {
        torn_ = written > 0 && files_.truncate(file_.get(), size_) != 0;
        return fail(done.error());
    }
    size_ += written;
    return true;
}

}  // namespace twinlog
