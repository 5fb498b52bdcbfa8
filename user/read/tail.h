// Where the tail of a log begins, found from its end on: nothing before it need be read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "format/entry.h"

namespace twinlog {

// What a tail counts.
struct TailCount {
    bool whole_lines = true;  // a line that was stored in pieces is one, and all of it is in
    bool gaps = false;        // entries that stand for a gap, too
    std::optional<Source> only = std::nullopt;            // those of one stream
    std::optional<std::int64_t> until_ns = std::nullopt;  // none that is later

    [[nodiscard]] bool counts(const Entry& entry) const {
        return (gaps || !entry.gap) && (!only || *only == entry.source) &&
               (!until_ns || entry.time_ns <= *until_ns);
    }
};

// Takes the entries of a log, the last one first. Its state goes from file to file.
class Tail {
 public:
    // Cut lines by their ids, by Source; empty: none.
    using Lines = std::array<std::string, 2>;

    // A line that begins so far before all others of the tail is shown from there on: what its
    // other stream wrote meanwhile would be read for nothing.
    static constexpr std::uint64_t farthest_beginning = std::uint64_t{32} << 20U;

    explicit Tail(std::uint64_t wanted, TailCount count = {}) : left_(wanted), count_(count) {}

    // The entry before the one that was taken last; size bytes of its file. True: the tail has it.
    bool take(const Entry& entry, std::size_t size);

    // How many are still wanted.
    [[nodiscard]] std::uint64_t left() const { return left_; }
    [[nodiscard]] bool is_full() const { return left_ == 0; }
    // Full, and none of its lines begins further before.
    [[nodiscard]] bool is_done() const { return is_full() && open_ == Lines{}; }
    // Lines that may begin before what was taken.
    [[nodiscard]] const Lines& open() const { return open_; }
    [[nodiscard]] const TailCount& count() const { return count_; }

 private:
    std::uint64_t left_;
    TailCount count_;
    Lines open_;
    std::uint64_t beyond_ = 0;  // bytes since it is full
};

// The same for a file that can be read forward only: remembers of its entries what a tail asks for,
// of no more of them than it can need.
class TailMemory {
 public:
    explicit TailMemory(const Tail& tail) : count_(tail.count()), wanted_(tail.left()) {}

    // The next entry, which begins at that place of the file.
    void add(const Entry& entry, std::uint64_t position, std::size_t size);

    // Calls take(entry, position, size) for each, the last one first, while that is true.
    template <class Take>
    void backwards(Take take) const {
        for (auto item = items_.rbegin(); item != items_.rend(); ++item) {
            if (!take(entry_of(*item), item->position, item->size)) return;
        }
    }

 private:
    struct Item {
        std::uint64_t position;
        std::int64_t time_ns;
        std::uint32_t size;
        std::uint32_t id;  // in ids_
        std::int32_t ordinal;
        Source source;
        bool is_gap;
        bool is_piece;
        bool is_last;
    };

    [[nodiscard]] Entry entry_of(const Item& item) const;
    void forget();

    TailCount count_;
    std::uint64_t wanted_;
    std::deque<Item> items_;
    std::deque<std::uint64_t> beginnings_;  // where the last lines begin, as many as are wanted
    std::vector<std::string> ids_;
    std::array<std::uint32_t, 2> last_id_{};  // by Source
};

}  // namespace twinlog
