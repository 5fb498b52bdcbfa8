// Puts one stream together again: from pieces in the order in which they happened to be recorded to
// bytes and gaps in the order of their positions.
//
// A stream has two ends. What writers put in arrives as `written` pieces: at once, with time and
// writer, but a piece may have a hole (bytes that the kernel side could not copy). What the reader
// took out arrives as `read` pieces: later, without a writer, but whole. Both count the same
// positions, so a read piece fills what the write end left open.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "format/entry.h"

namespace twinlog {

// Who wrote a piece, and when.
struct Origin {
    std::uint64_t time = 0;  // CLOCK_BOOTTIME, ns
    Writer writer;           // comm borrowed: valid during the call it is passed to
};

// Receives the stream in order: positions never go back and never leave anything out.
class StreamSink {
 public:
    virtual ~StreamSink() = default;
    virtual void on_bytes(std::uint64_t position, std::string_view bytes, const Origin& origin) = 0;
    virtual void on_gap(std::uint64_t position, std::uint64_t length, GapReason reason,
                        std::uint64_t time) = 0;
};

// Not thread-safe. Keeps a reference to the sink.
class Assembler {
 public:
    // reader_visible: holes wait for the read end. Otherwise they are gaps at once.
    Assembler(StreamSink& sink, bool reader_visible)
        : sink_(sink), reader_visible_(reader_visible) {}

    // One write: `bytes` are its first bytes, the others up to `length` are a hole for `reason`.
    void written(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                 GapReason reason, const Origin& origin);
    // What the reader took out. Bytes that are known already are skipped.
    void read(std::uint64_t position, std::string_view bytes, std::uint64_t time);

    // Every write before `position` has been passed in or never will be: what is missing there was
    // lost in the ring.
    void settle_written(std::uint64_t position);
    // The same of reads: holes before `position` will not be filled any more.
    void settle_read(std::uint64_t position);
    // The stream had `position` bytes and no more come from either end.
    void end(std::uint64_t position);

    // First position that was not handed on yet.
    [[nodiscard]] std::uint64_t next() const { return next_; }
    // Bytes in memory that wait for something before them.
    [[nodiscard]] std::uint64_t held_bytes() const { return held_bytes_; }

 private:
    // A range that can't be handed on yet, by its position.
    struct Piece {
        std::uint64_t length = 0;
        std::string bytes;  // empty: a hole
        GapReason reason = GapReason::ring_full;
        std::uint64_t time = 0;
        std::uint32_t pid = 0;
        std::uint32_t tid = 0;
        std::string comm;

        [[nodiscard]] Origin origin() const { return {time, {pid, tid, comm}}; }
    };
    using Pieces = std::map<std::uint64_t, Piece>;

    void add(std::uint64_t position, Piece piece);
    void fill(Pieces::iterator hole, std::uint64_t position, std::string_view bytes);
    void hand_on();

    StreamSink& sink_;
    bool reader_visible_;
    std::uint64_t next_ = 0;
    std::uint64_t read_settled_ = 0;
    std::uint64_t held_bytes_ = 0;
    std::uint64_t last_time_ = 0;
    Pieces pieces_;  // disjoint, all at or after next_
};

}  // namespace twinlog
