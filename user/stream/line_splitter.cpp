#include "stream/line_splitter.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

namespace twinlog {

namespace {

// 32 random bytes in hex, as Docker's stringid.GenerateRandomID.
std::string random_id() {
    std::array<unsigned char, 32> bytes{};
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const ssize_t got = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
        if (got > 0) filled += static_cast<std::size_t>(got);
    }
    constexpr std::string_view digits = "0123456789abcdef";
    std::string id;
    id.reserve(2 * bytes.size());
    for (const unsigned char byte : bytes) {
        id += digits[byte >> 4U];
        id += digits[byte & 0xfU];
    }
    return id;
}

std::optional<Writer> known(const Writer& writer) {
    return writer.pid != 0 ? std::optional(writer) : std::nullopt;
}

}  // namespace

void LineSplitter::bytes(std::uint64_t position, std::string_view bytes, std::int64_t time_ns,
                         const Writer& writer) {
    if (line_.empty()) line_position_ = position;
    while (!bytes.empty()) {
        // A line's newline may come in the place after the last byte of a full piece, so only the
        // bytes that still fit are searched.
        const std::size_t room = piece_size - line_.size();
        const std::string_view window = bytes.substr(0, room);
        const std::size_t newline = window.find('\n');
        if (newline != std::string_view::npos) {
            if (line_.empty()) {
                emit_line(window.substr(0, newline), time_ns, writer);
            } else {
                line_.append(window.substr(0, newline));
                emit_line(line_, time_ns, writer);
                line_.clear();
            }
            bytes.remove_prefix(newline + 1);
        } else if (window.size() == room) {
            if (line_.empty()) {
                emit_piece(window, time_ns, writer);
            } else {
                line_.append(window);
                emit_piece(line_, time_ns, writer);
                line_.clear();
            }
            bytes.remove_prefix(room);
        } else {
            line_.append(window);
            line_time_ns_ = time_ns;
            writer_ = writer;
            comm_ = writer.comm;
            writer_.comm = comm_;
            return;
        }
    }
}

void LineSplitter::emit_line(std::string_view line, std::int64_t time_ns, const Writer& writer) {
    Entry entry{.source = source_,
                .time_ns = time_ns,
                .line = line,
                .run = run_,
                .position = line_position_,
                .writer = known(writer)};
    if (!partial_id_.empty()) {
        entry.time_ns = partial_time_ns_;
        entry.partial = Partial{partial_id_, ordinal_, true};
    }
    sink_.on_entry(entry);
    line_position_ += line.size() + 1;
    end_partial();
}

void LineSplitter::emit_piece(std::string_view piece, std::int64_t time_ns, const Writer& writer) {
    if (partial_id_.empty()) {
        partial_id_ = random_id();
        partial_time_ns_ = time_ns;
        ordinal_ = 1;
    }
    sink_.on_entry(Entry{.source = source_,
                         .time_ns = partial_time_ns_,
                         .line = piece,
                         .partial = Partial{partial_id_, ordinal_, false},
                         .run = run_,
                         .position = line_position_,
                         .writer = known(writer)});
    ++ordinal_;
    line_position_ += piece.size();
}

void LineSplitter::end_partial() {
    partial_id_.clear();
    ordinal_ = 0;
}

void LineSplitter::gap(std::uint64_t position, const Gap& gap, std::int64_t time_ns) {
    end();
    sink_.on_entry(Entry{
        .source = source_, .time_ns = time_ns, .run = run_, .position = position, .gap = gap});
}

LineSplitter::State LineSplitter::state() const {
    return State{.position = line_position_,
                 .line = line_,
                 .time_ns = line_time_ns_,
                 .writer = writer_,
                 .comm = comm_,
                 .partial_id = partial_id_,
                 .ordinal = ordinal_,
                 .partial_time_ns = partial_time_ns_};
}

void LineSplitter::resume(State state) {
    line_position_ = state.position;
    line_ = std::move(state.line);
    line_time_ns_ = state.time_ns;
    writer_ = state.writer;
    comm_ = std::move(state.comm);
    writer_.comm = comm_;
    partial_id_ = std::move(state.partial_id);
    ordinal_ = state.ordinal;
    partial_time_ns_ = state.partial_time_ns;
}

void LineSplitter::end() {
    if (!line_.empty()) {
        emit_piece(line_, line_time_ns_, writer_);
        line_.clear();
    }
    end_partial();
}

}  // namespace twinlog
