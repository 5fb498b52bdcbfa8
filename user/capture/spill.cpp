#include "capture/spill.h"

#include <linux/bpf.h>

#include <algorithm>
#include <climits>
#include <cstring>

namespace twinlog {

namespace {

constexpr std::size_t frame_header = BPF_RINGBUF_HDR_SZ;
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

std::optional<SpillFrame> first_frame(std::span<const std::byte> frames) {
    if (frames.size() < frame_header) return std::nullopt;
    std::uint32_t length = 0;
    std::memcpy(&length, frames.data(), sizeof(length));
    length &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    const std::size_t size = TW_RING_ROOM(length);
    if (frames.size() < size) return std::nullopt;
    return SpillFrame{frames.subspan(frame_header, length), size};
}

Result<Spill> Spill::open(SpillPlace memory, SpillPlace disk, std::uint64_t instance) {
    const bool usable = disk.limit >= chunk_size;
    if (!usable) memory.limit = 0;
    Spill spill(std::move(memory), std::move(disk), instance);
    spill.usable_ = usable;
    if (auto loaded = spill.load(); !loaded) return pass_on(std::move(loaded));
    return spill;
}

Status Spill::load() {
    struct Found {
        Place place;
        SpillEntry entry;
    };
    std::map<std::uint64_t, std::map<std::uint64_t, Found>> runs;
    for (const File file : {in_memory, on_disk}) {
        auto entries = files_[file].load();
        if (!entries) return pass_on(std::move(entries));
        for (const auto& [chunk, entry] : *entries) {
            const Found found{{.index = chunk, .file = file}, entry};
            if (!runs[entry.run].try_emplace(entry.number, found).second) free_chunk(found.place);
        }
    }
    for (const auto& [run, entries] : runs) {
        Queue& queue = queues_[run];
        std::uint64_t next = entries.begin()->first;
        queue.first = next;
        bool whole = true;  // up to here
        std::uint64_t ring_end = 0;
        for (const auto& [number, found] : entries) {
            const SpillEntry& entry = found.entry;
            whole = whole && number == next;
            if (!whole) {
                free_chunk(found.place);
                continue;
            }
            queue.chunks.push_back({found.place, entry.used, entry.first_frame, entry.reads,
                                    entry.writes, entry.marks});
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
            free_chunk(queue.chunks.front().place);
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
    auto got = files_[last.place.file].read(last.place.index, last.first_frame, buffer_);
    if (!got) return got;
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
    for (const Chunk& chunk : queue.chunks) free_chunk(chunk.place);
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
            const Place place = queue.chunks.back().place;
            files_[place.file].put_back(place.index);
            queue.chunks.pop_back();
        }
        return added;
    }
    return Appended::taken;
}

// A queue may have as many chunks as are still free: one flood takes half of them, two a third
// each.
Spill::Appended Spill::add_chunk(Queue& queue) {
    const std::uint64_t left = capacity() - used_chunks();
    if (left == 0 || (!queue.chunks.empty() && queue.chunks.size() >= left)) {
        return Appended::refused;
    }
    for (const File file : {in_memory, on_disk}) {
        auto taken = files_[file].take();
        if (taken && *taken) {
            queue.chunks.push_back({.place = {.index = **taken, .file = file}});
            return Appended::taken;
        }
        // Nothing is lost yet where memory has no room.
        if (!taken && file == on_disk) {
            error_ = std::move(taken).error();
            return Appended::failed;
        }
    }
    return Appended::refused;
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
    free_chunk(chunk.place);
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
        const Place place = queue.chunks[at / chunk_size - queue.first].place;
        auto written = files_[place.file].write(place.index, at % chunk_size, part, size);
        if (!written) return written;
        at += size;
    }
    return {};
}

Status Spill::write_entry(std::uint64_t run, const Queue& queue, std::size_t at,
                          std::uint64_t ring_end) {
    const Chunk& chunk = queue.chunks[at];
    const SpillEntry entry{run,         queue.first + at, ring_end,   chunk.used, chunk.first_frame,
                           chunk.reads, chunk.writes,     chunk.marks};
    return files_[chunk.place.file].write_entry(chunk.place.index, entry);
}

// If it can't be cleared it is found again after a crash. Its records are known by then, but what
// stands behind the hole that follows is given up: numbers do not tell it from a flush cut short.
void Spill::free_chunk(Place place) {
    if (auto freed = files_[place.file].free(place.index); !freed) {
        error_ = std::move(freed).error();
    }
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
        const Place place = queue.chunks[at / chunk_size - queue.first].place;
        const std::size_t count = std::min<std::size_t>(size - done, chunk_size - at % chunk_size);
        auto got = files_[place.file].read(place.index, at % chunk_size,
                                           std::span(buffer_).subspan(done, count));
        if (!got) return got;
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
            status = fail("spill", "it is damaged");
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

Result<std::vector<UniqueFd>> Spill::remove_if_empty() {
    std::vector<UniqueFd> removed;
    if (!queues_.empty()) return removed;
    for (SpillFile& file : files_) {
        auto gone = file.remove();
        if (!gone) return pass_on(std::move(gone));
        removed.push_back(std::move(*gone));
    }
    return removed;
}

}  // namespace twinlog
