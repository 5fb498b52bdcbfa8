// Where records wait that the ring has no room for: first in memory, then in a file of the store,
// used only while more is written than can be formatted. What is in it outlives the process (a
// power cut may cost it, as it costs what the ring held), so room in the ring can be given back at
// once.
//
// Memory is a file too, of a file system that has no disk, so that the next process finds it. A
// file on a disk fills at memory speed as well, but its file system may make whoever makes it
// larger wait for the disk (100 ms and more were seen beside a database that syncs), while the ring
// runs over.
//
// Each run has a queue of its own, so that one that floods neither delays nor displaces others. A
// queue is a row of chunks out of one pool, its bytes the ring's frames one behind the other, over
// the chunks' borders. Bytes go first, then the chunks' entries (spill_file.h), last chunk first: a
// queue ends at the first chunk that is not full, so a crash in between leaves the state before.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "capture/spill_file.h"
#include "record.h"

namespace twinlog {

// Frames that the kernel does not write: everything of a stream before these positions stands
// before.
struct SpillSettled {
    static constexpr std::uint16_t frame_type = 0x100;

    std::uint16_t type = frame_type;
    std::uint16_t at_end = 0;
    std::uint32_t slot = 0;
    std::uint64_t stream = 0;
    std::uint64_t written = 0;
    std::uint64_t read = 0;
};

// Not thread-safe.
class Spill {
 public:
    static constexpr std::size_t chunk_size = SpillFile::chunk_size;
    using Mark = SpillMark;
    using Marks = SpillMarks;

    // Some whole frames of one run, in order; valid until the next call of next().
    struct Slice {
        std::uint64_t run = 0;
        bool skipped = false;  // what stood before was given up; marks tell up to where
        Marks marks;
        std::span<const std::byte> frames;
    };

    // Takes up what is there if it belongs to this instance of the maps, else removes it: slots and
    // runs mean nothing with others. Without a disk's file memory is not used either.
    static Result<Spill> open(SpillPlace memory, SpillPlace disk, std::uint64_t instance);

    [[nodiscard]] bool usable() const { return usable_; }

    // A stream whose queue holds so many bytes may lose older ones: they would be rotated out of
    // its log anyway. 0: never.
    void set_keep(std::uint64_t run, std::uint64_t bytes);
    // The run is over: what is left of its queue goes.
    void forget(std::uint64_t run);

    enum class Appended : std::uint8_t {
        taken,
        refused,  // the run has its share: a gap will tell what it cost
        failed,   // the disk has no room: what was appended before can be flushed
    };
    // A frame as it lies in the ring, header included. Its memory must stay until flush().
    Appended append(std::uint64_t run, std::span<const std::byte> frame);
    // The same for what is said between two records; copied.
    Appended append(std::uint64_t run, const SpillSettled& settled);
    // Writes what was appended; all of it stood before ring_end in the ring. If that fails some
    // queues may have it nevertheless: knows() tells.
    Status flush(std::uint64_t ring_end);
    // The run's frame that ends at this place of the ring is here already.
    [[nodiscard]] bool knows(std::uint64_t run, std::uint64_t ring_end) const;
    // The ring's room up to there has been given back: nobody will ask knows() for less.
    void forget_known(std::uint64_t ring_end);
    // Why the disk refused something, once.
    [[nodiscard]] std::optional<Error> take_error() { return std::exchange(error_, std::nullopt); }

    // The next slice of the next run that has one. What can't be read is given up and told.
    Result<std::optional<Slice>> next();
    // All that was flushed counts as handed out.
    void mark_read();
    // What next() has returned of the run's frames is safe elsewhere.
    void commit(std::uint64_t run);
    // Runs of which something was handed out and not committed, and how many bytes.
    [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> uncommitted() const;
    // Frames wait that next() has not returned.
    [[nodiscard]] bool waits(std::uint64_t run) const;
    [[nodiscard]] bool waits() const { return waiting_ > 0; }
    // Nothing is in it.
    [[nodiscard]] bool empty() const { return queues_.empty(); }
    // Bytes of its files that are in use.
    [[nodiscard]] std::uint64_t used() const { return used_chunks() * chunk_size; }

    // Gives the files back if they are empty; see SpillFile::remove().
    Result<std::vector<UniqueFd>> remove_if_empty();

 private:
    // In files_, the first one that has room takes the next chunk.
    enum File : std::uint8_t { in_memory, on_disk };
    struct Place {
        std::uint32_t index = 0;  // of the chunk in its file
        File file = on_disk;
    };
    struct Chunk {
        Place place;
        std::uint32_t used = 0;
        std::uint32_t first_frame = chunk_size;  // chunk_size: none begins in it
        // Bytes of streams that the frames which begin here hold, by the end that they are of.
        std::uint32_t reads = 0;
        std::uint32_t writes = 0;
        Marks marks;  // at its first frame
    };
    // Offsets count the queue's bytes from its first chunk on, given up ones included.
    struct Queue {
        std::deque<Chunk> chunks;
        std::uint64_t first = 0;      // number of chunks.front()
        std::uint64_t committed = 0;  // safe elsewhere up to here,
        std::uint64_t read = 0;       // handed out,
        std::uint64_t written = 0;    // in the file,
        std::uint64_t tail = 0;       // appended
        std::uint64_t reads = 0;      // sums over the chunks
        std::uint64_t writes = 0;
        std::uint64_t keep = 0;
        std::vector<iovec> pending;  // from written to tail
        Marks marks;                 // at tail
        bool skipped = false;
    };
    struct SettledFrame {
        std::array<std::uint32_t, 2> header;
        SpillSettled settled;
    };

    Spill(SpillPlace memory, SpillPlace disk, std::uint64_t instance)
        : files_{SpillFile(std::move(memory), instance), SpillFile(std::move(disk), instance)} {}

    [[nodiscard]] std::uint64_t capacity() const {
        return files_[on_disk].capacity() + files_[in_memory].capacity();
    }
    [[nodiscard]] std::uint64_t used_chunks() const {
        return files_[on_disk].used() + files_[in_memory].used();
    }
    Status load();
    Status mark_tail(Queue& queue);
    Queue& queue(std::uint64_t run);
    Appended make_room(Queue& queue, std::size_t size);
    Appended add_chunk(Queue& queue);
    void begin_frame(Queue& queue, std::span<const std::byte> frame);
    void drop_front(Queue& queue);
    void skip_old(Queue& queue);
    Status flush_queue(std::uint64_t run, Queue& queue, std::uint64_t ring_end);
    Status write_bytes(Queue& queue);
    Status write_entry(std::uint64_t run, const Queue& queue, std::size_t at,
                       std::uint64_t ring_end);
    Status read_bytes(const Queue& queue, std::size_t size);
    void free_chunk(Place place);

    std::array<SpillFile, 2> files_;  // by File
    bool usable_ = false;
    std::uint64_t waiting_ = 0;              // queues with frames that were not handed out
    std::map<std::uint64_t, Queue> queues_;  // by run
    std::unordered_map<std::uint64_t, std::uint64_t> keeps_;  // by run
    std::unordered_map<std::uint64_t, std::uint64_t>
        known_;                         // by run: its frames in the ring before
    std::uint64_t known_until_ = 0;     // the largest of them
    std::set<std::uint64_t> pending_;   // runs with frames to be flushed
    std::deque<SettledFrame> settled_;  // frames of our own, until then
    std::optional<Error> error_;
    std::uint64_t last_run_ = 0;  // that next() served
    std::vector<std::byte> buffer_;
};

// The first frame of some and what follows it; none: what is left is no whole frame.
struct SpillFrame {
    std::span<const std::byte> payload;
    std::size_t size = 0;  // with all that belongs to it
};
std::optional<SpillFrame> first_frame(std::span<const std::byte> frames);

}  // namespace twinlog
