// A pipe, seen at both ends. The reads tell content and order, because they are what the log driver
// got; the writes tell time and writer, and they stand in where a read was not captured or nobody
// reads. Since both count the same positions, nothing comes twice.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "stream/assembler.h"

namespace twinlog {

class ReadAssembler : public Assembler {
 public:
    // unread: bytes that were in the pipe before its first write was seen. from_start: nobody was
    // at work in it then, so both ends count the same bytes.
    ReadAssembler(StreamSink& sink, std::uint64_t unread, bool from_start)
        : sink_(sink), settled_written_(unread), from_start_(from_start), aligned_(from_start) {}

    void written(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                 GapReason reason, const Origin& origin) override;
    void read(std::uint64_t position, std::string_view bytes, std::uint64_t length,
              GapReason reason, std::uint64_t time) override;
    void settle(const StreamEnds& ends) override;
    void tick(std::uint64_t now) override;
    void skip(const StreamEnds& to) override;
    void end(const StreamEnds& ends, const StreamEnds& looked) override;

    void resume(std::uint64_t position) override { next_ = position; }
    [[nodiscard]] bool holds_last_copy() const override { return !reads_.empty(); }
    [[nodiscard]] bool waits() const override { return !reads_.empty() || !writes_.empty(); }
    [[nodiscard]] bool is_stuck(std::uint64_t now) const override;
    void look(const StreamEnds& ends, std::uint64_t at) override;
    [[nodiscard]] std::optional<std::uint64_t> oldest_waiting() const override;
    [[nodiscard]] std::uint64_t next() const override { return next_; }
    [[nodiscard]] std::uint64_t held_bytes() const override { return held_bytes_; }

 private:
    // Of which the front goes piece by piece.
    struct Bytes {
        std::string recorded;
        std::size_t dropped = 0;

        [[nodiscard]] std::string_view view() const {
            return std::string_view(recorded).substr(dropped);
        }
        [[nodiscard]] std::size_t size() const { return recorded.size() - dropped; }
        [[nodiscard]] bool empty() const { return size() == 0; }
        void drop_front(std::uint64_t count) {
            dropped = std::min<std::uint64_t>(dropped + count, recorded.size());
        }
    };
    struct Write {
        // As the reader counts; before 0 for what went through the pipe before it was found.
        std::int64_t position = 0;
        std::uint64_t length = 0;
        Bytes bytes;  // its first ones
        GapReason reason = GapReason::ring_full;
        std::uint64_t time = 0;
        Writer writer;  // its comm is the string below
        std::string comm;

        [[nodiscard]] std::int64_t end() const {
            return position + static_cast<std::int64_t>(length);
        }
        void drop_front(std::uint64_t count);
        void forget_writer();
        bool take_in(const Write& next);
    };
    struct Read {
        std::uint64_t length = 0;
        Bytes bytes;  // empty: a hole
        GapReason reason = GapReason::ring_full;
        std::uint64_t time = 0;
    };
    using Reads = std::map<std::uint64_t, Read>;
    using Writes = std::list<Write>;
    // A write that was taken before others that were counted before it and have not come yet.
    struct Early {
        std::int64_t position;  // where it was counted, after those that were taken before
        std::uint64_t length;
    };
    enum class Wait : std::uint8_t { for_writes, no_longer };
    // Where neither a read nor a write has the bytes: a gap, at once or when no write can bring
    // them any more; or the end.
    enum class Holes : std::uint8_t { pass, pass_settled, stop };

    std::size_t attribute(std::string_view bytes, std::uint64_t time, Wait wait);
    bool choose_write(std::string_view next_bytes, std::uint64_t time, Wait wait);
    Writes::iterator find_write(std::string_view next_bytes, std::uint64_t time, Wait wait);
    void take_write(Writes::iterator taken);
    Writes::iterator drop_write(Writes::iterator write);
    void forget_writes();
    void take_in_last();
    [[nodiscard]] bool others_write() const;
    void forget_early();
    void forget_late_writes(std::string_view next_bytes);
    void see(std::string_view bytes);
    [[nodiscard]] bool seen_refutes_counts() const;
    [[nodiscard]] bool agree(const Write& write, std::string_view bytes) const;
    void shift_writes(std::int64_t distance);
    void align(std::string_view next_bytes);
    void align(const StreamEnds& looked);
    void hold(std::uint64_t position, Read read);
    void hold_rest(Reads::node_type read);
    bool brings_more(std::uint64_t position, const Read& read);
    void hand_on(Wait wait);
    std::uint64_t hand_on_written(std::uint64_t length, GapReason reason, std::uint64_t time,
                                  Holes holes);
    [[nodiscard]] Origin origin() const;
    // How far the writers have come, as the reader counts.
    [[nodiscard]] std::uint64_t written_up_to() const {
        const std::int64_t at = static_cast<std::int64_t>(settled_written_) + shift_;
        return at > 0 ? static_cast<std::uint64_t>(at) : 0;
    }
    [[nodiscard]] std::int64_t here() const { return static_cast<std::int64_t>(next_); }

    StreamSink& sink_;
    std::uint64_t next_ = 0;
    std::uint64_t held_bytes_ = 0;
    std::uint64_t last_time_ = 0;        // of what was recorded
    std::uint64_t now_ = 0;              // or what time it is known to be
    std::uint64_t last_progress_ = 0;    // time of the last read, or of looking into the pipe
    std::uint64_t settled_written_ = 0;  // as the kernel counts, without shift_
    std::uint64_t settled_read_ = 0;
    std::int64_t shift_ = 0;  // what the count of writes is behind that of reads
    bool from_start_;
    bool aligned_;                       // shift_ is right, or seems so by the bytes
    std::uint64_t searched_ = 0;         // bytes that did not tell
    std::uint64_t debt_ = 0;             // bytes handed on whose write was not known yet
    bool is_read_ = false;               // and who does that is counted
    bool nobody_reads_ = false;          // writes are handed on at once
    Writes writes_;                      // not handed on, by position; all behind current_
    Writes spare_;                       // their memory serves those to come
    Write current_;                      // what is left of the write that the next bytes are of
    std::string seen_;                   // the last bytes before next_, if read and also its own
    Reads reads_;                        // disjoint, all at or after next_
    std::deque<Early> early_;            // in the order in which they were taken
    bool in_doubt_ = false;              // the last write taken was not known by its bytes
    std::size_t last_searches_ = 0;      // how many more need not wait for that
    std::uint64_t next_far_search_ = 0;  // not before; as now_
};

}  // namespace twinlog
