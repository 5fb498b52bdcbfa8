// A pseudo terminal, seen at its master's side: what a log driver gets is what comes out there,
// after output processing and with the echo of what is typed. Writes only tell who wrote: their
// bytes are counted differently.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "stream/assembler.h"

namespace twinlog {

class TerminalAssembler : public Assembler {
 public:
    explicit TerminalAssembler(StreamSink& sink) : sink_(sink) {}

    void written(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                 GapReason reason, const Origin& origin) override;
    void read(std::uint64_t position, std::string_view bytes, std::uint64_t length,
              GapReason reason, std::uint64_t time) override;
    void settle(const StreamEnds& ends) override;
    void tick(std::uint64_t) override {}
    void skip(const StreamEnds& to) override;
    void end(const StreamEnds& ends, const StreamEnds& looked) override;

    void resume(std::uint64_t position) override { next_ = position; }
    [[nodiscard]] bool holds_last_copy() const override { return !reads_.empty(); }
    [[nodiscard]] bool waits() const override { return !reads_.empty(); }
    // What a terminal holds cannot be looked at, and it holds little.
    [[nodiscard]] bool is_stuck(std::uint64_t) const override { return false; }
    void look(const StreamEnds&, std::uint64_t) override {}
    [[nodiscard]] std::optional<std::uint64_t> oldest_waiting() const override;
    [[nodiscard]] std::uint64_t next() const override { return next_; }
    [[nodiscard]] std::uint64_t held_bytes() const override { return held_bytes_; }

 private:
    struct Write {
        std::uint64_t length = 0;
        std::string bytes;
        std::uint64_t time = 0;
        Writer writer;  // its comm is the string below
        std::string comm;

        [[nodiscard]] Origin origin() const;
    };
    struct Read {
        std::uint64_t length = 0;
        std::string bytes;
        GapReason reason = GapReason::ring_full;
        std::uint64_t time = 0;
    };

    void hand_on(const Read& read);
    void drop_known();
    void choose_writer(std::uint64_t read_time);

    StreamSink& sink_;
    std::uint64_t next_ = 0;
    std::uint64_t held_bytes_ = 0;
    std::uint64_t last_time_ = 0;
    bool was_read_ = false;
    Write writer_;                         // who wrote last before the bytes that are handed on
    std::deque<Write> writes_;             // after that, by time; without bytes once somebody reads
    std::map<std::uint64_t, Read> reads_;  // by position, until all writes before them are known
};

}  // namespace twinlog
