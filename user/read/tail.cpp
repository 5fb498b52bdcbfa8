#include "read/tail.h"

namespace twinlog {

bool Tail::take(const Entry& entry, std::size_t size) {
    std::string& open = open_.at(static_cast<std::size_t>(entry.source));
    if (is_full()) {
        beyond_ += size;
        if (beyond_ > farthest_beginning) open_ = {};
    }
    if (!count_.counts(entry)) {
        if (entry.gap) open.clear();
        return false;
    }
    const bool goes_on =
        !open.empty() && entry.partial && !entry.partial->last && entry.partial->id == open;
    if (!goes_on) {
        open.clear();
        if (is_full()) return false;
        --left_;
    }
    const bool begins_before = count_.whole_lines && entry.partial && entry.partial->ordinal > 1;
    open = begins_before ? entry.partial->id : std::string_view();
    return true;
}

void TailMemory::add(const Entry& entry, std::uint64_t position, std::size_t size) {
    const bool counts = count_.counts(entry);
    if (!counts && !entry.gap) return;
    std::uint32_t& id = last_id_.at(static_cast<std::size_t>(entry.source));
    if (entry.partial && (ids_.empty() || ids_[id] != entry.partial->id)) {
        id = static_cast<std::uint32_t>(ids_.size());
        ids_.emplace_back(entry.partial->id);
    }
    items_.push_back({position, entry.time_ns, static_cast<std::uint32_t>(size), id,
                      entry.partial ? entry.partial->ordinal : 0, entry.source,
                      entry.gap.has_value(), entry.partial.has_value(),
                      entry.partial && entry.partial->last});
    const bool begins = !entry.partial || entry.partial->ordinal <= 1 || !count_.whole_lines;
    if (counts && begins) beginnings_.push_back(position);
    forget();
}

// Lines that begin at one of the last places end behind it: with as many as are wanted the tail is
// full there, whatever lines have their ends among them.
void TailMemory::forget() {
    if (beginnings_.size() > wanted_) beginnings_.pop_front();
    if (beginnings_.size() < wanted_) return;
    const std::uint64_t full = wanted_ > 0 ? beginnings_.front() : items_.back().position;
    while (items_.front().position + Tail::farthest_beginning < full) items_.pop_front();
}

Entry TailMemory::entry_of(const Item& item) const {
    Entry entry;
    entry.source = item.source;
    entry.time_ns = item.time_ns;
    if (item.is_gap) entry.gap = Gap{};
    if (item.is_piece) entry.partial = Partial{ids_[item.id], item.ordinal, item.is_last};
    return entry;
}

}  // namespace twinlog
