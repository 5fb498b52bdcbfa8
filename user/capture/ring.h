// Reader of one BPF ring buffer that takes records without giving their room back, until told to:
// what was taken but not committed is still there for the next reader after a crash. libbpf's own
// consumer commits record by record and cannot do that.
// Layout: kernel/bpf/ringbuf.c (consumer page, producer page, data mapped twice in a row).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace twinlog {

// Memory mapped from a file descriptor, unmapped at the end.
class Mapping {
 public:
    static Result<Mapping> map(int fd, std::size_t size, int protection, off_t offset);
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }

 private:
    Mapping(std::byte* data, std::size_t size) : data_(data), size_(size) {}
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

// Not thread-safe: one reader a ring.
class Ring {
 public:
    // size: of the data area, bytes; the map's max_entries. The fd is not kept.
    static Result<Ring> open(int map_fd, std::size_t size);

    // Where the kernel will put the next record; everything before has been reserved.
    [[nodiscard]] std::uint64_t produced() const;
    [[nodiscard]] std::uint64_t cursor() const { return cursor_; }

    // The next record before `end` (a value of produced()). Waits, a few microseconds as a rule,
    // for a record that was reserved but is still being filled. Empty at the end. The record stays
    // valid until commit(). Its memory is read-only.
    std::span<const std::byte> next(std::uint64_t end);

    // Reads some of the memory, so that the first access to it is not one that matters.
    void touch(std::uint64_t from, std::uint64_t size) const;

    // Gives back the room of all that next() has returned.
    void commit();
    // Where the next reader would begin.
    [[nodiscard]] std::uint64_t committed() const;
    // Back to there.
    void rewind() { cursor_ = committed(); }
    // To a value that cursor() had since then.
    void seek(std::uint64_t cursor) { cursor_ = cursor; }

 private:
    Ring(Mapping consumer, Mapping producer, std::size_t size)
        : consumer_(std::move(consumer)), producer_(std::move(producer)), size_(size) {}

    Mapping consumer_;
    Mapping producer_;  // its page, then the data twice
    std::size_t size_;
    std::uint64_t cursor_ = 0;
};

}  // namespace twinlog
