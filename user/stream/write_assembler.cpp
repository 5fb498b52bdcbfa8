#include "stream/write_assembler.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace twinlog {

Origin WriteAssembler::Piece::origin() const {
    Origin origin{time, writer};
    origin.writer.comm = comm;
    return origin;
}

void WriteAssembler::written(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                             GapReason reason, const Origin& origin) {
    last_time_ = std::max(last_time_, origin.time);
    bytes = bytes.substr(0, length);
    // The rule by far: the next bytes of the stream, whole. They go on without a copy.
    if (position == next_ && bytes.size() == length && pieces_.empty()) {
        next_ += length;
        if (length > 0) sink_.on_bytes(position, bytes, origin);
        return;
    }
    Piece piece{.length = bytes.size(),
                .bytes = std::string(bytes),
                .reason = reason,
                .time = origin.time,
                .writer = origin.writer,
                .comm = std::string(origin.writer.comm)};
    Piece hole = piece;
    hole.bytes.clear();
    hole.length = length - bytes.size();
    if (piece.length > 0) add(position, std::move(piece));
    if (hole.length > 0) add(position + bytes.size(), std::move(hole));
    hand_on();
}

// Trims what is known already: nothing is ever handed on twice.
void WriteAssembler::add(std::uint64_t position, Piece piece) {
    const auto cut_front = [&](std::uint64_t count) {
        count = std::min(count, piece.length);
        if (!piece.bytes.empty()) piece.bytes.erase(0, count);
        piece.length -= count;
        position += count;
    };
    if (position < next_) cut_front(next_ - position);
    auto after = pieces_.upper_bound(position);
    // Pieces that touch each other may cover it one after the other.
    while (piece.length > 0 && after != pieces_.begin()) {
        const auto before = std::prev(after);
        const std::uint64_t end = before->first + before->second.length;
        if (end <= position) break;
        cut_front(end - position);
        after = pieces_.upper_bound(position);
    }
    if (piece.length == 0) return;
    if (after != pieces_.end() && position + piece.length > after->first) {
        Piece rest = piece;
        const std::uint64_t kept = after->first - position;
        rest.length -= kept;
        if (!rest.bytes.empty()) rest.bytes.erase(0, kept);
        piece.length = kept;
        if (!piece.bytes.empty()) piece.bytes.resize(kept);
        const std::uint64_t rest_position = position + kept;
        if (piece.length > 0) {
            held_bytes_ += piece.bytes.size();
            pieces_.emplace(position, std::move(piece));
        }
        add(rest_position, std::move(rest));
        return;
    }
    held_bytes_ += piece.bytes.size();
    pieces_.emplace(position, std::move(piece));
}

void WriteAssembler::hand_on() {
    while (!pieces_.empty() && pieces_.begin()->first == next_) {
        const auto first = pieces_.begin();
        const Piece& piece = first->second;
        const std::uint64_t position = next_;
        if (piece.bytes.empty()) {
            next_ += piece.length;
            sink_.on_gap(position, piece.length, piece.reason, piece.time);
        } else {
            next_ += piece.length;
            held_bytes_ -= piece.bytes.size();
            sink_.on_bytes(position, piece.bytes, piece.origin());
        }
        pieces_.erase(first);
    }
}

void WriteAssembler::settle(const StreamEnds& ends) {
    const std::uint64_t position = ends.written;
    if (position <= next_) return;
    std::uint64_t at = next_;
    const auto lost = [&](std::uint64_t until, std::uint64_t time) {
        if (until > at) {
            add(at, Piece{.length = until - at, .reason = GapReason::ring_full, .time = time});
        }
    };
    for (auto piece = pieces_.begin(); piece != pieces_.end() && piece->first < position;) {
        lost(piece->first, piece->second.time);
        at = piece->first + piece->second.length;
        piece = pieces_.lower_bound(at);
    }
    lost(position, last_time_);
    hand_on();
}

void WriteAssembler::skip(const StreamEnds& to) {
    // What is held stands before: holes between it are of another kind.
    const auto after = pieces_.lower_bound(to.written);
    if (after != pieces_.begin()) {
        const auto& [position, piece] = *std::prev(after);
        settle({.written = std::min(to.written, position + piece.length)});
    }
    if (to.written <= next_) return;
    const std::uint64_t position = next_;
    next_ = to.written;
    sink_.on_gap(position, to.written - position, GapReason::rotated, last_time_);
    hand_on();
}

std::optional<std::uint64_t> WriteAssembler::oldest_waiting() const {
    if (pieces_.empty()) return std::nullopt;
    return pieces_.begin()->second.time;
}

}  // namespace twinlog
