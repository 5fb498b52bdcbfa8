// One stream of one run: positions in order, then lines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "record.h"
#include "store/container_info.h"
#include "stream/assembler.h"
#include "stream/line_splitter.h"

namespace twinlog {

// The assembler that fits the file. from_start: nobody has written to it yet. Keeps a reference to
// the sink.
std::unique_ptr<Assembler> make_assembler(const tw_file& file, bool from_start, StreamSink& sink);
// A ring record in the words of stream/.
void assemble(Assembler& assembler, const tw_data& record, std::string_view captured);

// Not thread-safe. Keeps references to the entry sink and the counters.
class StreamRecorder : public StreamSink {
 public:
    StreamRecorder(const tw_file& file, bool from_start, Source source, std::uint32_t run,
                   EntrySink& entries, StreamCounters& counters)
        : file_(file),
          counters_(&counters),
          splitter_(std::in_place, entries, source, run),
          assembler_(make_assembler(file, from_start, *this)) {}

    [[nodiscard]] const tw_file& file() const { return file_; }

    void record(const tw_data& record, std::string_view captured) {
        assemble(*assembler_, record, captured);
    }
    // All records before these positions have come in or never will.
    void settle(const StreamEnds& ends) {
        settled_ = ends;
        assembler_->settle(ends);
    }
    // What stands before was given up.
    void skip(const StreamEnds& to) { assembler_->skip(to); }
    [[nodiscard]] const StreamEnds& settled() const { return settled_; }
    Assembler& assembler() { return *assembler_; }
    [[nodiscard]] const Assembler& assembler() const { return *assembler_; }
    [[nodiscard]] const LineSplitter& splitter() const { return *splitter_; }
    // Goes on after a former daemon. in_log: position behind the last byte that the log holds;
    // done: everything before it was in the log, be it rotated away meanwhile, or in begun.
    void resume(std::uint64_t in_log, std::uint64_t done, const LineSplitter::State& begun);
    // Bytes that wait in the pipe and that nothing recorded has: a copy of them is wanted.
    [[nodiscard]] bool wants_peek(const StreamEnds& looked) const;
    // The copy, made when the stream's ends stood so. It counts once confirm_peek() finds that they
    // still do: a reader may have taken some of it before without having been recorded yet.
    void peeked(const StreamEnds& looked, std::string bytes, std::uint64_t at);
    void confirm_peek(const StreamEnds& looked);
    // What comes from here on is another run's; a line that has begun ends here.
    void move_to(Source source, std::uint32_t run, EntrySink& entries, StreamCounters& counters);
    // Nothing more comes.
    void end(const StreamEnds& looked);

    void on_bytes(std::uint64_t position, std::string_view bytes, const Origin& origin) override;
    void on_gap(std::uint64_t position, std::uint64_t length, GapReason reason,
                std::uint64_t time) override;

 private:
    struct Peek {
        std::uint64_t position;
        std::string bytes;
        std::uint64_t at;
    };

    tw_file file_;
    StreamCounters* counters_;
    std::optional<LineSplitter> splitter_;
    std::unique_ptr<Assembler> assembler_;
    StreamEnds settled_;
    std::optional<Peek> peek_;
};

// What a stream's file is, as container.json and ps call it; empty: there is none.
std::string_view file_kind_name(std::uint8_t kind);

}  // namespace twinlog
