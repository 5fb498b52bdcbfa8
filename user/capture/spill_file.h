// One file of the spill: chunks, and before them a table that says of each whose it is, its number
// in that queue, and how much of it is valid. What is written is in the page cache at once, so it
// outlives the process.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "record.h"

namespace twinlog {

struct SpillPlace {
    std::string path;             // of the file
    std::uint64_t limit = 0;      // bytes of chunks; 0: there is no such place
    std::uint64_t left_free = 0;  // bytes of the file system that are left to others
};

// How far a stream had come at some place in a queue, by the records before it.
struct SpillMark {
    std::uint64_t stream = 0;  // 0: no record of it was seen
    std::uint64_t written = 0;
    std::uint64_t read = 0;
    std::uint32_t slot = TW_NO_SLOT;
    std::uint32_t pad = 0;
};
using SpillMarks = std::array<SpillMark, 2>;

// What the table says of a chunk, as it lies in the file.
struct SpillEntry {
    std::uint64_t run = 0;       // 0: the chunk is free
    std::uint64_t number = 0;    // in the run's queue
    std::uint64_t ring_end = 0;  // all that it has stood before in the ring
    std::uint32_t used = 0;
    std::uint32_t first_frame = 0;
    std::uint32_t reads = 0;
    std::uint32_t writes = 0;
    SpillMarks marks;
};

// Not thread-safe. Chunks go by their numbers in the file.
class SpillFile {
 public:
    static constexpr std::size_t chunk_size = std::size_t{256} * 1024;

    SpillFile(SpillPlace place, std::uint64_t instance)
        : place_(std::move(place)), instance_(instance) {}

    // How many chunks it may have, and has. As long as a former process's file is used, what that
    // one might.
    [[nodiscard]] std::uint64_t capacity() const { return capacity_; }
    [[nodiscard]] std::uint64_t used() const { return used_; }

    // Takes up the file that is there, if it belongs to this instance of the maps, else removes it.
    // Returns the entries of the chunks that are in use.
    Result<std::map<std::uint32_t, SpillEntry>> load();
    // A free chunk, with its blocks; none: all are in use.
    Result<std::optional<std::uint32_t>> take();
    // One that was taken and never had an entry.
    void put_back(std::uint32_t chunk);
    // Its entry becomes that of a free one. Should that fail it is found again after a crash.
    Status free(std::uint32_t chunk);

    // The parts, which have that size together, from byte `at` of the chunk on.
    Status write(std::uint32_t chunk, std::uint64_t at, std::span<const iovec> parts,
                 std::size_t size);
    Status write_entry(std::uint32_t chunk, const SpillEntry& entry);
    Status read(std::uint32_t chunk, std::uint64_t at, std::span<std::byte> into) const;

    // Removes it; no chunk may be in use. Its blocks are freed when what is returned is closed,
    // which takes long (150 ms for 1.5 GB were seen): better not where somebody waits.
    Result<UniqueFd> remove();

 private:
    static std::uint32_t chunks_of(std::uint64_t bytes) {
        return static_cast<std::uint32_t>(bytes / chunk_size);
    }
    Status create();
    // Bytes of its file system that it may still take.
    [[nodiscard]] Result<std::uint64_t> room(int fd) const;
    [[nodiscard]] Error no_room() const;

    SpillPlace place_;
    std::uint64_t instance_;
    UniqueFd fd_;
    std::uint32_t capacity_ = chunks_of(place_.limit);
    std::uint32_t touched_ = 0;        // chunks that have blocks
    std::vector<std::uint32_t> free_;  // of these; the last one first, it is still in the caches
    std::uint64_t used_ = 0;
};

}  // namespace twinlog
