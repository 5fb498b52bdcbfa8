#include "daemon/stream_recorder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "stream/read_assembler.h"
#include "stream/terminal_assembler.h"
#include "stream/write_assembler.h"

namespace twinlog {

std::unique_ptr<Assembler> make_assembler(const tw_file& file, bool from_start, StreamSink& sink) {
    switch (file.kind) {
        case TW_KIND_PIPE:
        case TW_KIND_FIFO:
            return std::make_unique<ReadAssembler>(sink, file.unread, from_start);
        case TW_KIND_PTY:
            return std::make_unique<TerminalAssembler>(sink);
        default:
            return std::make_unique<WriteAssembler>(sink);
    }
}

void assemble(Assembler& assembler, const tw_data& record, std::string_view captured) {
    const std::string_view comm(record.comm, ::strnlen(record.comm, sizeof(record.comm)));
    const auto reason = static_cast<GapReason>(record.reason);
    if (record.type == TW_READ) {
        assembler.read(record.position, captured, record.length, reason, record.time);
        return;
    }
    assembler.written(record.position, captured, record.length, reason,
                      Origin{record.time, Writer{record.pid, record.tid, comm, record.ns_pid}});
}

bool StreamRecorder::wants_peek(const StreamEnds& looked) const {
    if (!looked.unread || assembler_->next() < looked.read) return false;
    return assembler_->next() < looked.read + *looked.unread;
}

void StreamRecorder::peeked(const StreamEnds& looked, std::string bytes, std::uint64_t at) {
    peek_.reset();
    if (!bytes.empty()) peek_ = Peek{looked.read, std::move(bytes), at};
}

void StreamRecorder::confirm_peek(const StreamEnds& looked) {
    if (!peek_) return;
    // To the assembler it is a read. The true one, if it comes, brings nothing new.
    if (peek_->position == looked.read) {
        assembler_->read(peek_->position, peek_->bytes, peek_->bytes.size(), GapReason::unread,
                         peek_->at);
    }
    peek_.reset();
}

void StreamRecorder::move_to(Source source, std::uint32_t run, EntrySink& entries,
                             StreamCounters& counters) {
    splitter_->end();
    splitter_.emplace(entries, source, run);
    counters_ = &counters;
}

void StreamRecorder::end(const StreamEnds& looked) {
    confirm_peek(settled_);
    assembler_->end(settled_, looked);
    splitter_->end();
}

void StreamRecorder::resume(std::uint64_t in_log, std::uint64_t done,
                            const LineSplitter::State& begun) {
    assembler_->resume(std::max(in_log, done));
    // Else its line is in the log by now.
    const bool goes_on = begun.position + begun.line.size() == done && begun.position >= in_log;
    if (goes_on) splitter_->resume(begun);
}

void StreamRecorder::on_bytes(std::uint64_t position, std::string_view bytes,
                              const Origin& origin) {
    const std::int64_t time = wall_time(origin.time);
    counters_->bytes += bytes.size();
    counters_->last_write_ns = time;
    splitter_->bytes(position, bytes, time, origin.writer);
}

void StreamRecorder::on_gap(std::uint64_t position, std::uint64_t length, GapReason reason,
                            std::uint64_t time) {
    const std::int64_t wall = wall_time(time);
    counters_->bytes += length;
    if (reason == GapReason::rotated) {
        counters_->skipped += length;
    } else {
        counters_->lost += length;
        ++counters_->gaps;
    }
    counters_->last_write_ns = wall;
    splitter_->gap(position, Gap{length, reason}, wall);
}

std::string_view file_kind_name(std::uint8_t kind) {
    switch (kind) {
        case TW_KIND_PIPE:
            return "pipe";
        case TW_KIND_FIFO:
            return "fifo";
        case TW_KIND_PTY:
        case TW_KIND_TTY:
            return "tty";
        case TW_KIND_FILE:
            return "file";
        case TW_KIND_SOCKET:
            return "socket";
        case TW_KIND_NULL:
            return "null";
        case TW_KIND_OTHER:
            return "other";
        default:
            return "";
    }
}

}  // namespace twinlog
