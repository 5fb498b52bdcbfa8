// Cuts a stream into entries as Docker's copier does, so that both logs of a container agree.
// Rules: moby daemon/logger/copier.go. A line ends at its newline, which is not stored; a line that
// reaches 16384 bytes without one is stored in pieces; `\r` and NUL are bytes like any other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "format/entry.h"

namespace twinlog {

// Receives entries; the views in them are valid during the call.
class EntrySink {
 public:
    virtual ~EntrySink() = default;
    virtual void on_entry(const Entry& entry) = 0;
};

// Not thread-safe. One for each run of a stream. Keeps a reference to the sink.
class LineSplitter {
 public:
    // Docker's buffer size: defaultBufSize in copier.go.
    static constexpr std::size_t piece_size = 16384;

    LineSplitter(EntrySink& sink, Source source, std::uint32_t run)
        : sink_(sink), source_(source), run_(run) {}

    // The next bytes; position of the first of them. Time in Unix ns.
    void bytes(std::uint64_t position, std::string_view bytes, std::int64_t time_ns,
               const Writer& writer);
    // Bytes are missing here: what stands before them becomes an unfinished entry of its own.
    void gap(std::uint64_t position, const Gap& gap, std::int64_t time_ns);
    // No more comes: the last line, if it has no newline, becomes an unfinished entry.
    void end();

    // All that it knows of a line that has begun and not ended.
    struct State {
        std::uint64_t position = 0;  // of the line's first byte that was not emitted
        std::string line;
        std::int64_t time_ns = 0;
        Writer writer;  // of the last bytes; its comm is the string below
        std::string comm;
        std::string partial_id;  // empty: no piece of it was emitted
        std::int32_t ordinal = 0;
        std::int64_t partial_time_ns = 0;
    };
    [[nodiscard]] bool in_a_line() const { return !line_.empty() || !partial_id_.empty(); }
    [[nodiscard]] State state() const;
    // Goes on where another one was; before any bytes.
    void resume(State state);

    // Bytes of a line that has not ended yet.
    [[nodiscard]] std::size_t pending() const { return line_.size(); }

 private:
    void emit_line(std::string_view line, std::int64_t time_ns, const Writer& writer);
    void emit_piece(std::string_view piece, std::int64_t time_ns, const Writer& writer);
    void end_partial();

    EntrySink& sink_;
    Source source_;
    std::uint32_t run_;

    std::string line_;                 // begun, not ended; always shorter than piece_size
    std::uint64_t line_position_ = 0;  // of the next byte to be emitted
    std::int64_t line_time_ns_ = 0;    // of the last bytes that came
    Writer writer_;                    // theirs; its comm is the string below
    std::string comm_;

    // The cut line under way: id is empty if there is none.
    std::string partial_id_;
    std::int32_t ordinal_ = 0;
    std::int64_t partial_time_ns_ = 0;
};

}  // namespace twinlog
