#include "stream/assembler.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace twinlog {

void Assembler::written(std::uint64_t position, std::string_view bytes, std::uint64_t length,
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
                .pid = origin.writer.pid,
                .tid = origin.writer.tid,
                .comm = std::string(origin.writer.comm)};
    Piece hole = piece;
    hole.bytes.clear();
    hole.length = length - bytes.size();
    if (piece.length > 0) add(position, std::move(piece));
    if (hole.length > 0) add(position + bytes.size(), std::move(hole));
    hand_on();
}

void Assembler::read(std::uint64_t position, std::string_view bytes, std::uint64_t time) {
    last_time_ = std::max(last_time_, time);
    while (!bytes.empty()) {
        if (position < next_) {
            const std::uint64_t known = std::min<std::uint64_t>(next_ - position, bytes.size());
            position += known;
            bytes.remove_prefix(known);
            continue;
        }
        // The piece that holds the position, or the first after it.
        auto piece = pieces_.upper_bound(position);
        if (piece != pieces_.begin()) {
            const auto before = std::prev(piece);
            if (before->first + before->second.length > position) piece = before;
        }
        std::uint64_t length = bytes.size();
        if (piece == pieces_.end() || piece->first > position) {
            if (piece != pieces_.end()) length = std::min(length, piece->first - position);
            add(position,
                Piece{
                    .length = length, .bytes = std::string(bytes.substr(0, length)), .time = time});
        } else {
            length = std::min(length, piece->first + piece->second.length - position);
            if (piece->second.bytes.empty()) fill(piece, position, bytes.substr(0, length));
        }
        position += length;
        bytes.remove_prefix(length);
    }
    hand_on();
}

void Assembler::fill(Pieces::iterator hole, std::uint64_t position, std::string_view bytes) {
    const std::uint64_t begin = hole->first;
    Piece whole = std::move(hole->second);
    pieces_.erase(hole);
    Piece filled = whole;
    filled.length = bytes.size();
    filled.bytes = std::string(bytes);
    Piece rest = whole;
    rest.length = begin + whole.length - (position + bytes.size());
    whole.length = position - begin;
    if (whole.length > 0) add(begin, std::move(whole));
    if (rest.length > 0) add(position + bytes.size(), std::move(rest));
    add(position, std::move(filled));
}

// Trims what is known already: nothing is ever handed on twice.
void Assembler::add(std::uint64_t position, Piece piece) {
    const auto cut_front = [&](std::uint64_t count) {
        count = std::min(count, piece.length);
        if (!piece.bytes.empty()) piece.bytes.erase(0, count);
        piece.length -= count;
        position += count;
    };
    if (position < next_) cut_front(next_ - position);
    auto after = pieces_.upper_bound(position);
    if (after != pieces_.begin()) {
        const auto before = std::prev(after);
        const std::uint64_t end = before->first + before->second.length;
        if (end > position) cut_front(end - position);
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

void Assembler::hand_on() {
    while (!pieces_.empty() && pieces_.begin()->first == next_) {
        const auto first = pieces_.begin();
        const Piece& piece = first->second;
        const std::uint64_t position = next_;
        if (piece.bytes.empty()) {
            if (reader_visible_ && position + piece.length > read_settled_) return;
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

void Assembler::settle_written(std::uint64_t position) {
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

void Assembler::settle_read(std::uint64_t position) {
    read_settled_ = std::max(read_settled_, position);
    hand_on();
}

void Assembler::end(std::uint64_t position) {
    settle_written(position);
    settle_read(position);
}

}  // namespace twinlog
