#include "stream/entry_merger.h"

#include "base/clock.h"

namespace twinlog {

namespace {

// A reader that is later than this is busy with something else: its lines come when they come.
constexpr std::uint64_t longest_wait_ns = 100'000'000;

}  // namespace

EntryMerger::Held::Held(const Entry& from, std::uint64_t now)
    : entry(from),
      line(from.line),
      partial_id(from.partial ? from.partial->id : std::string_view()),
      comm(from.writer ? from.writer->comm : std::string_view()),
      since(now) {}

Entry EntryMerger::Held::view() const {
    Entry out = entry;
    out.line = line;
    if (out.partial) out.partial->id = partial_id;
    if (out.writer) out.writer->comm = comm;
    return out;
}

void EntryMerger::watch(Source source, const Assembler& assembler) {
    inputs_[static_cast<std::size_t>(source)].assembler = &assembler;
}

bool EntryMerger::may_pass(const Input& other, std::int64_t time_ns) const {
    if (!other.queue.empty() && other.queue.front().entry.time_ns < time_ns) return false;
    if (other.assembler == nullptr) return true;
    const auto oldest = other.assembler->oldest_waiting();
    return !oldest || wall_time(*oldest) >= time_ns;
}

void EntryMerger::take(Input& input, const Entry& entry) {
    Input& other = &input == &inputs_[0] ? inputs_[1] : inputs_[0];
    if (input.queue.empty() && may_pass(other, entry.time_ns)) {
        sink_.on_entry(entry);
        return;
    }
    input.queue.emplace_back(entry, boot_time_now());
}

void EntryMerger::pass_first(Input& input) {
    sink_.on_entry(input.queue.front().view());
    input.queue.pop_front();
}

void EntryMerger::release(std::uint64_t now) {
    while (waits()) {
        Input& first = inputs_[0];
        Input& second = inputs_[1];
        const bool take_first = second.queue.empty() ||
                                (!first.queue.empty() && first.queue.front().entry.time_ns <=
                                                             second.queue.front().entry.time_ns);
        Input& next = take_first ? first : second;
        const Held& held = next.queue.front();
        if (!may_pass(take_first ? second : first, held.entry.time_ns) &&
            now < held.since + longest_wait_ns) {
            return;
        }
        pass_first(next);
    }
}

void EntryMerger::flush() {
    release(~std::uint64_t{0});
}

}  // namespace twinlog
