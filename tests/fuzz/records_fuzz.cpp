// Records as no kernel would write them: any positions, lengths and times, in any order, from
// either end of a stream of any kind. Nothing can be said of the bytes then, but each position
// still comes out once and in order, and nothing is held at the end.
#include <array>
#include <cstring>
#include <string>

#include "daemon/stream_recorder.h"
#include "fuzz.h"
#include "stream/entry_merger.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

constexpr unsigned largest_bits = 18;

class Log : public EntrySink {
 public:
    void on_entry(const Entry& entry) override {
        std::uint64_t& next = next_[static_cast<std::size_t>(entry.source)];
        require(entry.position == next, "entries follow each other");
        next += stream_bytes(entry);
    }
    [[nodiscard]] std::uint64_t next(Source source) const {
        return next_[static_cast<std::size_t>(source)];
    }

 private:
    std::array<std::uint64_t, 2> next_{};
};

tw_file file_of(Input& input) {
    tw_file file{};
    file.kind = input.byte() % (TW_KIND_OTHER + 2);
    file.unread = input.upto(0xffff);
    return file;
}

class Stream {
 public:
    Stream(Input& input, Source source, EntrySink& entries)
        : source_(source), recorder_(file_of(input), input.flag(), source, 1, entries, counters_) {}

    StreamRecorder& recorder() { return recorder_; }
    [[nodiscard]] Source source() const { return source_; }

    void step(std::uint8_t choice, Input& input) {
        Assembler& assembler = recorder_.assembler();
        switch (choice % 8) {
            case 0:
                recorder_.settle(some_ends(input));
                break;
            case 1:
                assembler.tick(input.upto(0xffffffff) * 1000);
                break;
            case 2:
                assembler.look(some_ends(input), input.upto(0xffffffff) * 1000);
                break;
            default:
                record(input);
        }
        require(assembler.held_bytes() <= told_, "no more is held than was told");
        const auto oldest = assembler.oldest_waiting();
        require(oldest || assembler.held_bytes() == 0 || !assembler.waits(),
                "what waits has a time");
    }
    void end(Input& input) {
        StreamEnds ends = some_ends(input);
        // All that was told is before the end: so much is true of any kernel.
        ends.written = std::max(ends.written, furthest_.written);
        ends.read = std::max(ends.read, furthest_.read);
        recorder_.settle(ends);
        recorder_.end(some_ends(input));
        require(recorder_.assembler().held_bytes() == 0, "nothing is held at the end");
        require(!recorder_.assembler().holds_last_copy(), "nothing is held back at the end");
    }

 private:
    static std::uint64_t position(Input& input) {
        return input.flag() ? input.byte() : input.upto(0xffffff);
    }
    static StreamEnds some_ends(Input& input) {
        StreamEnds ends;
        ends.written = position(input);
        ends.read = position(input);
        const std::uint8_t flags = input.byte();
        ends.at_end = (flags & 1U) != 0;
        if ((flags & 2U) != 0) ends.unread = position(input);
        return ends;
    }
    void record(Input& input) {
        tw_data record{};
        record.type = input.flag() ? TW_DATA : TW_READ;
        record.reason = input.byte() % TW_REASONS;
        record.position = position(input);
        record.length = static_cast<std::uint32_t>(input.size(largest_bits));
        record.time = input.upto(0xffffffff) * 1000;
        record.pid = record.tid = input.byte();
        std::memcpy(record.comm, "writer", 6);
        const std::size_t given = input.size(largest_bits);
        std::string captured(input.take(input.byte()));
        // More than it says, too: capture/ bounds it by the ring's record, not by the length.
        captured.resize(given, input.flag() ? '\n' : 'x');
        record.captured = static_cast<std::uint32_t>(captured.size());
        told_ += std::min<std::uint64_t>(captured.size(), record.length);
        std::uint64_t& furthest = record.type == TW_READ ? furthest_.read : furthest_.written;
        furthest = std::max(furthest, record.position + record.length);
        recorder_.record(record, captured);
    }

    Source source_;
    StreamCounters counters_;
    StreamRecorder recorder_;
    StreamEnds furthest_;
    std::uint64_t told_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    Log log;
    EntryMerger merger(log);
    std::array<Stream, 2> streams{Stream(input, Source::stdout_, merger.input(Source::stdout_)),
                                  Stream(input, Source::stderr_, merger.input(Source::stderr_))};
    for (Stream& stream : streams) merger.watch(stream.source(), stream.recorder().assembler());
    // Large records cost time: some dozens show all there is.
    for (int steps = 0; steps < 200 && !input.empty(); ++steps) {
        const std::uint8_t choice = input.byte();
        streams[choice >> 7U].step(choice, input);
        if (choice % 16 == 1) merger.release(input.upto(0xffffffff) * 1000);
    }
    for (Stream& stream : streams) stream.end(input);
    merger.flush();
    for (Stream& stream : streams) {
        require(log.next(stream.source()) == stream.recorder().assembler().next(),
                "all that came out is in the log");
    }
    return 0;
}
