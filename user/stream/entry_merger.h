// Brings the entries of a container's two streams into the order in which they were written. Each
// stream arrives in its own order, but its reader may be ahead of the other one's.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>

#include "stream/assembler.h"
#include "stream/line_splitter.h"

namespace twinlog {

// Not thread-safe. Keeps references to the sink and, once set, to the assemblers.
class EntryMerger {
 public:
    explicit EntryMerger(EntrySink& sink) : sink_(sink) {
        for (Input& input : inputs_) input.merger = this;
    }
    EntryMerger(const EntryMerger&) = delete;
    EntryMerger& operator=(const EntryMerger&) = delete;

    // Where the stream's entries go in.
    EntrySink& input(Source source) { return inputs_[static_cast<std::size_t>(source)]; }
    // Who tells how far the stream has come. Without one it keeps nobody waiting.
    void watch(Source source, const Assembler& assembler);

    // Passes on what nothing older can come before, and what has waited too long (CLOCK_BOOTTIME,
    // ns). Call it when streams have been settled.
    void release(std::uint64_t now);
    // Everything, in order.
    void flush();
    [[nodiscard]] bool waits() const {
        return !inputs_[0].queue.empty() || !inputs_[1].queue.empty();
    }

 private:
    // An entry that owns its texts.
    struct Held {
        explicit Held(const Entry& entry, std::uint64_t since);
        [[nodiscard]] Entry view() const;

        Entry entry;
        std::string line;
        std::string partial_id;
        std::string comm;
        std::uint64_t since;
    };
    struct Input : EntrySink {
        void on_entry(const Entry& entry) override { merger->take(*this, entry); }
        EntryMerger* merger = nullptr;
        const Assembler* assembler = nullptr;
        std::deque<Held> queue;
    };

    void take(Input& input, const Entry& entry);
    [[nodiscard]] bool may_pass(const Input& other, std::int64_t time_ns) const;
    void pass_first(Input& input);

    EntrySink& sink_;
    std::array<Input, 2> inputs_;
};

}  // namespace twinlog
