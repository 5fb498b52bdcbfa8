// One stream of one run: positions in order, then lines.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "record.h"
#include "store/container_info.h"
#include "stream/assembler.h"
#include "stream/line_splitter.h"

namespace twinlog {

// A ring record in the words of stream/.
void assemble(Assembler& assembler, const tw_data& record, std::string_view captured);

// Not thread-safe. Keeps references to the entry sink and the counters.
class StreamRecorder : public StreamSink {
 public:
    StreamRecorder(const tw_file& file, Source source, std::uint32_t run, EntrySink& entries,
                   StreamCounters& counters)
        : file_(file),
          counters_(counters),
          splitter_(entries, source, run),
          assembler_(*this, /*reader_visible=*/false) {}

    [[nodiscard]] const tw_file& file() const { return file_; }

    void record(const tw_data& record, std::string_view captured) {
        assemble(assembler_, record, captured);
    }
    void settle(std::uint64_t position) { assembler_.settle_written(position); }
    // The stream had `position` bytes.
    void end(std::uint64_t position);

    void on_bytes(std::uint64_t position, std::string_view bytes, const Origin& origin) override;
    void on_gap(std::uint64_t position, std::uint64_t length, GapReason reason,
                std::uint64_t time) override;

 private:
    tw_file file_;
    StreamCounters& counters_;
    LineSplitter splitter_;
    Assembler assembler_;
};

// What a stream's file is, as container.json and ps call it; empty: there is none.
std::string_view file_kind_name(std::uint8_t kind);

}  // namespace twinlog
