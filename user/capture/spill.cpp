#include "capture/spill.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <limits>
#include <type_traits>

namespace twinlog {

namespace {

constexpr std::array<char, 8> magic = {'T', 'W', 'S', 'P', 'I', 'L', 'L', '1'};
constexpr std::uint64_t head_size = 4096;
constexpr std::uint64_t entry_size = 128;
constexpr mode_t file_mode = 0600;
// Of a queue, ever; more is damage.
constexpr std::uint64_t most_chunks = std::uint64_t{1} << 40U;
constexpr std::size_t frame_header = BPF_RINGBUF_HDR_SZ;
// Of the disk, left to others: a twentieth, as file systems do for root, but no more than they need
// to go on for a while.
constexpr std::uint64_t left_free_part = 20;
constexpr std::uint64_t most_left_free = std::uint64_t{1} << 30U;
// New chunks after which the disk is looked at again: 16 MiB, so little that looking costs nothing.
constexpr std::uint32_t chunks_a_check = 64;

std::uint64_t entry_offset(std::uint32_t chunk) {
    return head_size + chunk * entry_size;
}

std::uint64_t chunk_offset(std::uint32_t capacity, std::uint32_t chunk) {
    const std::uint64_t table = (entry_offset(capacity) + head_size - 1) / head_size * head_size;
    return table + chunk * std::uint64_t{Spill::chunk_size};
}

void note(Spill::Marks& marks, const tw_data& record) {
    for (Spill::Mark& mark : marks) {
        if (mark.stream != 0 && mark.stream != record.stream) continue;
        mark.stream = record.stream;
        mark.slot = record.slot;
        std::uint64_t& end = record.type == TW_READ ? mark.read : mark.written;
        end = std::max(end, record.position + record.length);
        return;
    }
}

}  // namespace

// The file as it lies on the disk; of this machine alone, so its byte order is the machine's.
struct Spill::DiskHead {
    std::array<char, 8> magic;
    std::uint64_t instance;
    std::uint32_t layout;
    std::uint32_t capacity;
};

struct Spill::DiskEntry {
    std::uint64_t run;     // 0: the chunk is free
    std::uint64_t number;  // in the run's queue
    std::uint64_t ring_end;
    std::uint32_t used;
    std::uint32_t first_frame;
    std::uint32_t reads;
    std::uint32_t writes;
    Marks marks;
};

std::optional<SpillFrame> first_frame(std::span<const std::byte> frames) {
    if (frames.size() < frame_header) return std::nullopt;
    std::uint32_t length = 0;
    std::memcpy(&length, frames.data(), sizeof(length));
    length &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    const std::size_t size = TW_RING_ROOM(length);
    if (frames.size() < size) return std::nullopt;
    return SpillFrame{frames.subspan(frame_header, length), size};
}

std::uint64_t Spill::left_free_of(std::uint64_t size) {
    return std::min(size / left_free_part, most_left_free);
}

Result<Spill> Spill::open(std::string path, std::uint64_t limit, std::uint64_t left_free,
                          std::uint64_t instance) {
    static_assert(sizeof(DiskHead) <= head_size && sizeof(DiskEntry) <= entry_size);
    static_assert(std::is_trivially_copyable_v<DiskEntry>);
    Spill spill(std::move(path), limit, left_free, instance);
    if (auto loaded = spill.load(); !loaded) return pass_on(std::move(loaded));
    return spill;
}

Status Spill::create() {
    if (fd_.valid()) return {};
    UniqueFd fd(
        ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, file_mode));
    if (!fd.valid()) return fail_errno(path_, "making it");
    capacity_ = static_cast<std::uint32_t>(limit_ / chunk_size);
    const DiskHead head{magic, instance_, TW_LAYOUT, capacity_};
    const auto table = static_cast<off_t>(chunk_offset(capacity_, 0));
    // With its blocks, so that the table can always be written.
    if (::fallocate(fd.get(), 0, 0, table) != 0 && errno != EOPNOTSUPP) {
        auto failed = fail_errno(path_, "making it");
        ::unlink(path_.c_str());
        return failed;
    }
    if (::ftruncate(fd.get(), table) != 0 ||
        ::pwrite(fd.get(), &head, sizeof(head), 0) != sizeof(head)) {
        return fail_errno(path_, "writing it");
    }
    fd_ = std::move(fd);
    touched_ = 0;
    used_chunks_ = 0;
    free_.clear();
    return {};
}

Status Spill::load() {
    UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) return errno == ENOENT ? Status{} : fail_errno(path_, "opening it");
    DiskHead head{};
    struct stat status {};
    const ssize_t got = ::pread(fd.get(), &head, sizeof(head), 0);
    if (got < 0 || ::fstat(fd.get(), &status) != 0) return fail_errno(path_, "reading it");
    const std::uint64_t table = chunk_offset(head.capacity, 0);
    if (got != sizeof(head) || head.magic != magic || head.layout != TW_LAYOUT ||
        head.instance != instance_ || static_cast<std::uint64_t>(status.st_size) < table) {
        if (::unlink(path_.c_str()) != 0) return fail_errno(path_, "removing it");
        return {};
    }
    capacity_ = head.capacity;
    fd_ = std::move(fd);
    touched_ = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(capacity_, (status.st_size - table) / chunk_size));
    std::vector<std::byte> bytes(touched_ * entry_size);
    if (::pread(fd_.get(), bytes.data(), bytes.size(), entry_offset(0)) !=
        static_cast<ssize_t>(bytes.size())) {
        return fail_errno(path_, "reading its table");
    }
    std::map<std::uint64_t, std::map<std::uint64_t, DiskEntry>> runs;
    std::map<std::uint64_t, std::map<std::uint64_t, std::uint32_t>> places;
    for (std::uint32_t chunk = 0; chunk < touched_; ++chunk) {
        DiskEntry entry{};
        std::memcpy(&entry, bytes.data() + chunk * entry_size, sizeof(entry));
        const bool valid = entry.run != 0 && entry.number < most_chunks &&
                           entry.used <= chunk_size && entry.first_frame % alignof(tw_data) == 0 &&
                           (entry.first_frame == chunk_size || entry.first_frame < entry.used);
        if (!valid) {
            free_.push_back(chunk);
            continue;
        }
        ++used_chunks_;
        runs[entry.run][entry.number] = entry;
        places[entry.run][entry.number] = chunk;
    }
    for (const auto& [run, entries] : runs) {
        Queue& queue = queues_[run];
        std::uint64_t next = entries.begin()->first;
        queue.first = next;
        bool whole = true;  // up to here
        std::uint64_t ring_end = 0;
        for (const auto& [number, entry] : entries) {
            const std::uint32_t place = places[run][number];
            whole = whole && number == next;
            if (!whole) {
                free_chunk(place);
                continue;
            }
            queue.chunks.push_back(
                {place, entry.used, entry.first_frame, entry.reads, entry.writes, entry.marks});
            queue.reads += entry.reads;
            queue.writes += entry.writes;
            queue.written = number * chunk_size + entry.used;
            ring_end = entry.ring_end;
            ++next;
            whole = entry.used == chunk_size;
        }
        queue.tail = queue.written;
        known_[run] = ring_end;
        known_until_ = std::max(known_until_, ring_end);
        // The part of a frame that a dropped chunk began.
        while (!queue.chunks.empty() && queue.chunks.front().first_frame == chunk_size) {
            queue.reads -= queue.chunks.front().reads;
            queue.writes -= queue.chunks.front().writes;
            free_chunk(queue.chunks.front().index);
            queue.chunks.pop_front();
            ++queue.first;
        }
        if (queue.chunks.empty()) {
            queues_.erase(run);
            continue;
        }
        queue.committed = queue.read = queue.first * chunk_size + queue.chunks.front().first_frame;
        queue.skipped = true;
        if (queue.read < queue.written) ++waiting_;
        if (auto marked = mark_tail(queue); !marked) return marked;
    }
    return {};
}

// How far the streams had come at the end of a queue that was found.
Status Spill::mark_tail(Queue& queue) {
    const Chunk& last = queue.chunks.back();
    queue.marks = last.marks;
    if (last.first_frame >= last.used) return {};
    buffer_.resize(last.used - last.first_frame);
    if (::pread(fd_.get(), buffer_.data(), buffer_.size(),
                static_cast<off_t>(chunk_offset(capacity_, last.index) + last.first_frame)) !=
        static_cast<ssize_t>(buffer_.size())) {
        return fail_errno(path_, "reading it");
    }
    std::span<const std::byte> rest(buffer_);
    while (const auto frame = first_frame(rest)) {
        if (frame->payload.size() >= sizeof(tw_data)) {
            note(queue.marks, *reinterpret_cast<const tw_data*>(frame->payload.data()));
        }
        rest = rest.subspan(frame->size);
    }
    return {};
}

void Spill::set_keep(std::uint64_t run, std::uint64_t bytes) {
    keeps_[run] = bytes;
    if (const auto queue = queues_.find(run); queue != queues_.end()) queue->second.keep = bytes;
}

void Spill::forget(std::uint64_t run) {
    keeps_.erase(run);
    const auto found = queues_.find(run);
    if (found == queues_.end()) return;
    Queue& queue = found->second;
    if (queue.read < queue.written) --waiting_;
    for (const Chunk& chunk : queue.chunks) free_chunk(chunk.index);
    pending_.erase(run);
    queues_.erase(found);
}

Spill::Queue& Spill::queue(std::uint64_t run) {
    const auto [place, is_new] = queues_.try_emplace(run);
    if (is_new) {
        const auto keep = keeps_.find(run);
        if (keep != keeps_.end()) place->second.keep = keep->second;
    }
    return place->second;
}

Spill::Appended Spill::append(std::uint64_t run, std::span<const std::byte> frame) {
    if (!fd_.valid()) {
        if (auto created = create(); !created) {
            error_ = std::move(created).error();
            return Appended::failed;
        }
    }
    Queue& queue = this->queue(run);
    const std::uint64_t free_before = queue.tail % chunk_size;
    if (queue.chunks.empty() || free_before + frame.size() > chunk_size || free_before == 0) {
        const Appended room = make_room(queue, frame.size());
        if (room != Appended::taken) {
            if (queue.chunks.empty()) queues_.erase(run);
            return room;
        }
        skip_old(queue);
    }
    begin_frame(queue, frame);
    if (!queue.pending.empty()) {
        iovec& last = queue.pending.back();
        if (static_cast<const std::byte*>(last.iov_base) + last.iov_len == frame.data()) {
            last.iov_len += frame.size();
            queue.tail += frame.size();
            return Appended::taken;
        }
    } else {
        pending_.insert(run);
    }
    queue.pending.push_back({const_cast<std::byte*>(frame.data()), frame.size()});
    queue.tail += frame.size();
    return Appended::taken;
}

Spill::Appended Spill::append(std::uint64_t run, const SpillSettled& settled) {
    static_assert(sizeof(SettledFrame) == TW_RING_ROOM(sizeof(SpillSettled)));
    settled_.push_back({{static_cast<std::uint32_t>(sizeof(SpillSettled)), 0}, settled});
    const auto* bytes = reinterpret_cast<const std::byte*>(&settled_.back());
    return append(run, std::span(bytes, sizeof(SettledFrame)));
}

// Chunks for all of the frame, or none.
Spill::Appended Spill::make_room(Queue& queue, std::size_t size) {
    const std::size_t before = queue.chunks.size();
    while ((queue.first + queue.chunks.size()) * chunk_size < queue.tail + size) {
        const Appended added = add_chunk(queue);
        if (added == Appended::taken) continue;
        while (queue.chunks.size() > before) {
            free_.push_back(queue.chunks.back().index);
            --used_chunks_;
            queue.chunks.pop_back();
        }
        return added;
    }
    return Appended::taken;
}

// A queue may have as many chunks as are still free: one flood takes half of them, two a third
// each.
Spill::Appended Spill::add_chunk(Queue& queue) {
    const std::uint64_t left = capacity_ - used_chunks_;
    if (left == 0 || (!queue.chunks.empty() && queue.chunks.size() >= left)) {
        return Appended::refused;
    }
    std::uint32_t index = touched_;
    if (!free_.empty()) {
        index = free_.back();
        free_.pop_back();
    } else {
        if (index % chunks_a_check == 0) {
            if (auto roomy = check_disk(); !roomy) {
                error_ = std::move(roomy).error();
                return Appended::failed;
            }
        }
        const auto place = static_cast<off_t>(chunk_offset(capacity_, index));
        // Blocks first: a page that finds none later would take its bytes with it.
        if (::fallocate(fd_.get(), 0, place, chunk_size) != 0) {
            const bool unsupported = errno == EOPNOTSUPP;
            if (!unsupported || ::ftruncate(fd_.get(), place + chunk_size) != 0) {
                error_ = fail_errno(path_, "making it larger").value();
                return Appended::failed;
            }
        }
        ++touched_;
    }
    ++used_chunks_;
    queue.chunks.push_back({.index = index});
    return Appended::taken;
}

Status Spill::check_disk() {
    struct statvfs disk {};
    if (::fstatvfs(fd_.get(), &disk) != 0) return fail_errno(path_, "asking what is free there");
    if (disk.f_bavail * disk.f_frsize >= left_free_ + chunks_a_check * chunk_size) return {};
    return fail(Error{
        path_, "making it larger", ENOSPC,
        "the last " + std::to_string(left_free_ >> 20U) + " MiB of that disk are left to others"});
}

void Spill::begin_frame(Queue& queue, std::span<const std::byte> frame) {
    Chunk& chunk = queue.chunks[queue.tail / chunk_size - queue.first];
    if (chunk.first_frame == chunk_size) {
        chunk.first_frame = static_cast<std::uint32_t>(queue.tail % chunk_size);
        chunk.marks = queue.marks;
    }
    const auto found = first_frame(frame);
    if (!found || found->payload.size() < sizeof(tw_data)) return;
    const auto& record = *reinterpret_cast<const tw_data*>(found->payload.data());
    note(queue.marks, record);
    const bool is_read = record.type == TW_READ;
    (is_read ? chunk.reads : chunk.writes) += record.captured;
    (is_read ? queue.reads : queue.writes) += record.captured;
}

void Spill::drop_front(Queue& queue) {
    const bool waited = queue.read < queue.written;
    const Chunk chunk = queue.chunks.front();
    free_chunk(chunk.index);
    queue.reads -= chunk.reads;
    queue.writes -= chunk.writes;
    queue.chunks.pop_front();
    ++queue.first;
    queue.committed = std::max(queue.committed, queue.first * chunk_size);
    if (queue.read < queue.first * chunk_size) {
        std::uint64_t at = queue.first * chunk_size;
        for (const Chunk& left : queue.chunks) {
            if (left.first_frame != chunk_size) {
                at += left.first_frame;
                break;
            }
            at += chunk_size;
        }
        queue.read = queue.committed = std::min(at, queue.tail);
        queue.skipped = true;
    }
    if (waited && queue.read >= queue.written) --waiting_;
}

// What would be rotated out of the log before anybody could see it end.
void Spill::skip_old(Queue& queue) {
    if (queue.keep == 0) return;
    while (queue.chunks.size() > 2 && (queue.first + 2) * chunk_size <= queue.written) {
        const Chunk& front = queue.chunks.front();
        // The frames of a pipe that has a reader come twice: what the reader got counts.
        const std::uint64_t reads = queue.reads - front.reads;
        const std::uint64_t left = reads > 0 ? reads : queue.writes - front.writes;
        if (left < queue.keep) return;
        drop_front(queue);
    }
}

Status Spill::flush(std::uint64_t ring_end) {
    Status result;
    for (const std::uint64_t run : pending_) {
        const auto queue = queues_.find(run);
        if (queue == queues_.end()) continue;
        if (auto flushed = flush_queue(run, queue->second, ring_end); !flushed) {
            result = std::move(flushed);
        }
    }
    pending_.clear();
    settled_.clear();
    return result;
}

Status Spill::flush_queue(std::uint64_t run, Queue& queue, std::uint64_t ring_end) {
    if (queue.tail == queue.written) return {};
    const bool waited = queue.read < queue.written;
    const std::uint64_t from = queue.written;
    auto written = write_bytes(queue);
    if (written) {
        const std::uint64_t to = queue.tail;
        for (std::uint64_t number = from / chunk_size; number * chunk_size < to; ++number) {
            Chunk& chunk = queue.chunks[number - queue.first];
            chunk.used = static_cast<std::uint32_t>(
                std::min<std::uint64_t>(chunk_size, to - number * chunk_size));
        }
        for (std::uint64_t number = (to - 1) / chunk_size;; --number) {
            written = write_entry(run, queue, number - queue.first, ring_end);
            if (!written || number == from / chunk_size) break;
        }
    }
    queue.pending.clear();
    if (!written) {
        // As if it had not been appended. What it counted stays counted, so nothing may be skipped
        // any more.
        queue.tail = queue.written;
        queue.keep = 0;
        return written;
    }
    queue.written = queue.tail;
    if (!waited && queue.read < queue.written) ++waiting_;
    known_[run] = ring_end;
    known_until_ = std::max(known_until_, ring_end);
    return {};
}

Status Spill::write_bytes(Queue& queue) {
    std::uint64_t at = queue.written;
    std::vector<iovec> part;
    auto next = queue.pending.begin();
    std::size_t done = 0;  // of *next
    while (at < queue.tail) {
        std::size_t room = chunk_size - at % chunk_size;
        part.clear();
        std::size_t size = 0;
        while (next != queue.pending.end() && room > 0 && part.size() < IOV_MAX) {
            const std::size_t count = std::min(room, next->iov_len - done);
            part.push_back({static_cast<char*>(next->iov_base) + done, count});
            size += count;
            room -= count;
            done += count;
            if (done == next->iov_len) {
                ++next;
                done = 0;
            }
        }
        const Chunk& chunk = queue.chunks[at / chunk_size - queue.first];
        const auto place =
            static_cast<off_t>(chunk_offset(capacity_, chunk.index) + at % chunk_size);
        const ssize_t written =
            ::pwritev(fd_.get(), part.data(), static_cast<int>(part.size()), place);
        if (written < 0) return fail_errno(path_, "writing it");
        if (static_cast<std::size_t>(written) != size) {
            return fail(Error{path_, "writing it", ENOSPC, {}});
        }
        at += size;
    }
    return {};
}

Status Spill::write_entry(std::uint64_t run, const Queue& queue, std::size_t at,
                          std::uint64_t ring_end) {
    const Chunk& chunk = queue.chunks[at];
    const DiskEntry entry{run,         queue.first + at, ring_end,   chunk.used, chunk.first_frame,
                          chunk.reads, chunk.writes,     chunk.marks};
    if (::pwrite(fd_.get(), &entry, sizeof(entry), entry_offset(chunk.index)) != sizeof(entry)) {
        return fail_errno(path_, "writing its table");
    }
    return {};
}

// If it can't be cleared it is found again after a crash, and its records are known by then.
void Spill::free_chunk(std::uint32_t index) {
    const std::uint64_t nobody = 0;
    if (::pwrite(fd_.get(), &nobody, sizeof(nobody),
                 static_cast<off_t>(entry_offset(index) + offsetof(DiskEntry, run))) < 0) {
        error_ = fail_errno(path_, "writing its table").value();
    }
    free_.push_back(index);
    if (used_chunks_ > 0) --used_chunks_;
}

bool Spill::knows(std::uint64_t run, std::uint64_t ring_end) const {
    if (ring_end > known_until_) return false;
    const auto known = known_.find(run);
    return known != known_.end() && ring_end <= known->second;
}

void Spill::forget_known(std::uint64_t ring_end) {
    if (ring_end >= known_until_) known_.clear();
}

Status Spill::read_bytes(const Queue& queue, std::size_t size) {
    if (buffer_.size() < size) buffer_.resize(size);
    for (std::size_t done = 0; done < size;) {
        const std::uint64_t at = queue.read + done;
        const Chunk& chunk = queue.chunks[at / chunk_size - queue.first];
        const std::size_t count = std::min<std::size_t>(size - done, chunk_size - at % chunk_size);
        const ssize_t got =
            ::pread(fd_.get(), buffer_.data() + done, count,
                    static_cast<off_t>(chunk_offset(capacity_, chunk.index) + at % chunk_size));
        if (got < 0) return fail_errno(path_, "reading it");
        if (static_cast<std::size_t>(got) != count) return fail(path_, "it has become shorter");
        done += count;
    }
    return {};
}

Result<std::optional<Spill::Slice>> Spill::next() {
    const auto waits = [](const auto& item) { return item.second.read < item.second.written; };
    auto found = std::find_if(queues_.upper_bound(last_run_), queues_.end(), waits);
    if (found == queues_.end()) found = std::find_if(queues_.begin(), queues_.end(), waits);
    if (found == queues_.end()) return std::nullopt;
    last_run_ = found->first;
    Queue& queue = found->second;
    std::size_t size = std::min<std::uint64_t>(chunk_size, queue.written - queue.read);
    Slice slice{.run = found->first, .skipped = std::exchange(queue.skipped, false), .marks = {}};
    if (slice.skipped) slice.marks = queue.chunks[queue.read / chunk_size - queue.first].marks;
    Status status = read_bytes(queue, size);
    std::size_t whole = 0;
    while (status) {
        whole = 0;
        const auto bytes = std::span<const std::byte>(buffer_).first(size);
        while (const auto frame = first_frame(bytes.subspan(whole))) whole += frame->size;
        if (whole > 0) break;
        // One that is longer than a chunk.
        if (size == queue.written - queue.read) {
            status = fail(path_, "it is damaged");
            break;
        }
        size = std::min<std::uint64_t>(2 * size, queue.written - queue.read);
        status = read_bytes(queue, size);
    }
    queue.read = status ? queue.read + whole : queue.written;
    if (queue.read >= queue.written) --waiting_;
    if (!status) return pass_on(std::move(status));
    slice.frames = std::span<const std::byte>(buffer_).first(whole);
    return slice;
}

void Spill::mark_read() {
    for (auto& [run, queue] : queues_) {
        if (queue.read < queue.written) --waiting_;
        queue.read = queue.written;
    }
}

void Spill::commit(std::uint64_t run) {
    const auto found = queues_.find(run);
    if (found == queues_.end()) return;
    Queue& queue = found->second;
    queue.committed = queue.read;
    const bool all = queue.read == queue.tail;
    while (!queue.chunks.empty() && (all || (queue.first + 1) * chunk_size <= queue.read)) {
        drop_front(queue);
    }
    if (all) queues_.erase(found);
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> Spill::uncommitted() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> runs;
    for (const auto& [run, queue] : queues_) {
        if (queue.read > queue.committed) runs.emplace_back(run, queue.read - queue.committed);
    }
    return runs;
}

bool Spill::waits(std::uint64_t run) const {
    const auto queue = queues_.find(run);
    return queue != queues_.end() && queue->second.read < queue->second.written;
}

Result<UniqueFd> Spill::remove_if_empty() {
    if (!fd_.valid() || !queues_.empty()) return UniqueFd();
    UniqueFd removed = std::move(fd_);
    if (::unlink(path_.c_str()) != 0) return fail_errno(path_, "removing it");
    return removed;
}

}  // namespace twinlog
