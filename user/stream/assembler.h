// Puts one stream together again: from pieces in the order in which they happened to be recorded to
// bytes and gaps in the order of their positions.
//
// A stream has two ends. What writers put in is told as `written` pieces: at once, with time and
// writer, but a piece may have holes (bytes that could not be copied). What the reader took out is
// told as `read` pieces: later and without a writer, but in the true order and whole. One class
// each for the kinds of streams: WriteAssembler where no reader can be seen, ReadAssembler for
// pipes, TerminalAssembler for pseudo terminals.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "format/entry.h"

namespace twinlog {

// Who wrote a piece, and when.
struct Origin {
    std::uint64_t time = 0;  // CLOCK_BOOTTIME, ns
    Writer writer;           // comm borrowed: valid during the call it is passed to; pid 0: unknown
};

// Receives the stream in order: positions never go back and never leave anything out.
class StreamSink {
 public:
    virtual ~StreamSink() = default;
    virtual void on_bytes(std::uint64_t position, std::string_view bytes, const Origin& origin) = 0;
    virtual void on_gap(std::uint64_t position, std::uint64_t length, GapReason reason,
                        std::uint64_t time) = 0;
};

// How far each end of a stream has come. Both count from the stream's first byte; in a pipe they
// mean the same bytes.
struct StreamEnds {
    std::uint64_t written = 0;
    std::uint64_t read = 0;
    bool at_end = false;  // the reader was told that no more comes: it has everything
    // Bytes in the pipe at the moment when the ends stood there; none: not known.
    std::optional<std::uint64_t> unread;
};

// Not thread-safe. Keeps a reference to the sink.
class Assembler {
 public:
    virtual ~Assembler() = default;

    // One write: `bytes` are its first bytes, the others up to `length` are a hole for `reason`.
    virtual void written(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                         GapReason reason, const Origin& origin) = 0;
    // The same of a read, which has no writer.
    virtual void read(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                      GapReason reason, std::uint64_t time) = 0;
    // All records of both ends before these positions have been passed in or never will be.
    virtual void settle(const StreamEnds& ends) = 0;
    // Time goes by (CLOCK_BOOTTIME, ns): what was held in hope of something better goes on.
    virtual void tick(std::uint64_t now) = 0;
    // What was not passed in before these positions was given up, because the log would not keep it
    // (GapReason::rotated).
    virtual void skip(const StreamEnds& to) = 0;
    // Nothing more comes from either end. looked: how they stood when the pipe was last looked
    // into.
    virtual void end(const StreamEnds& ends, const StreamEnds& looked) = 0;

    // Everything before this position is known elsewhere; before any record.
    virtual void resume(std::uint64_t position) = 0;
    // Bytes are held that nobody else has: neither the sink nor the pipe.
    [[nodiscard]] virtual bool holds_last_copy() const = 0;
    // Something is held: tick() is wanted.
    [[nodiscard]] virtual bool waits() const = 0;
    // Bytes were written long ago and nobody has read them: look() is wanted.
    [[nodiscard]] virtual bool is_stuck(std::uint64_t now) const = 0;
    // The pipe was looked into at that time (CLOCK_BOOTTIME, ns); all that was recorded until then
    // has been passed in.
    virtual void look(const StreamEnds& ends, std::uint64_t at) = 0;
    // Time of the oldest write that was not handed on yet: the stream's next bytes are no older.
    [[nodiscard]] virtual std::optional<std::uint64_t> oldest_waiting() const = 0;
    // First position that was not handed on yet.
    [[nodiscard]] virtual std::uint64_t next() const = 0;
    // Bytes in memory that wait for something.
    [[nodiscard]] virtual std::uint64_t held_bytes() const = 0;
};

}  // namespace twinlog
