// A stream whose reader cannot be seen (file, socket, inherited terminal): all is taken from the
// writes.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "stream/assembler.h"

namespace twinlog {

class WriteAssembler : public Assembler {
 public:
    explicit WriteAssembler(StreamSink& sink) : sink_(sink) {}

    void written(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                 GapReason reason, const Origin& origin) override;
    // Other readers of a file do not take anything out of it.
    void read(std::uint64_t, std::string_view, std::uint64_t, GapReason, std::uint64_t) override {}
    void settle(const StreamEnds& ends) override;
    void tick(std::uint64_t) override {}
    void skip(const StreamEnds& to) override;
    void end(const StreamEnds& ends, const StreamEnds&) override { settle(ends); }

    void resume(std::uint64_t position) override { next_ = position; }
    [[nodiscard]] bool holds_last_copy() const override { return !pieces_.empty(); }
    [[nodiscard]] bool waits() const override { return false; }
    [[nodiscard]] bool is_stuck(std::uint64_t) const override { return false; }
    void look(const StreamEnds&, std::uint64_t) override {}
    [[nodiscard]] std::optional<std::uint64_t> oldest_waiting() const override;
    [[nodiscard]] std::uint64_t next() const override { return next_; }
    [[nodiscard]] std::uint64_t held_bytes() const override { return held_bytes_; }

 private:
    // A range that can't be handed on yet, by its position.
    struct Piece {
        std::uint64_t length = 0;
        std::string bytes;  // empty: a hole
        GapReason reason = GapReason::ring_full;
        std::uint64_t time = 0;
        Writer writer;  // its comm is the string below
        std::string comm;

        [[nodiscard]] Origin origin() const;
    };

    void add(std::uint64_t position, Piece piece);
    void hand_on();

    StreamSink& sink_;
    std::uint64_t next_ = 0;
    std::uint64_t held_bytes_ = 0;
    std::uint64_t last_time_ = 0;
    std::map<std::uint64_t, Piece> pieces_;  // disjoint, all at or after next_
};

}  // namespace twinlog
