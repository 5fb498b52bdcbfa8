#include "stream/read_assembler.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "stream/recorded_part.h"

namespace twinlog {

namespace {

// A write that is larger than the pipe is recorded when it returns, after most of it was read. So
// long and so much is held for the sake of knowing who wrote it: where 64 writers share two
// processors, one that was preempted in its write comes round again in some 130 ms. Meanwhile the
// others went on at 15 MB/s and more, all of it held twice, as it was written and as it was read.
constexpr std::uint64_t attribution_wait_ns = 500'000'000;
constexpr std::uint64_t attribution_hold = 8ULL << 20;

// After so long the pipe is looked into. A reader that takes longer is stuck, or cannot be seen.
constexpr std::uint64_t stuck_ns = 1'000'000'000;

// More than any pipe holds, so somebody reads in a way that cannot be seen.
constexpr std::uint64_t more_than_a_pipe = 4ULL << 20;

// As many as a pipe of the usual size has room for, of one byte each. Each takes some 200 bytes
// here.
constexpr std::size_t most_waiting = 1U << 16U;

// How many writes may have been recorded in another order than they went into the pipe: 15 is what
// was seen of 8 writers.
constexpr std::size_t swap_window = 64;

// Of how many that were taken before their turn is remembered whose turn it was: as many may be on
// their way here.
constexpr std::size_t most_early = 64;

// One that was preempted before it was recorded may be behind thousands of others. These are
// compared where bytes have waited for longer than a swap takes, and for a tenth of the time.
constexpr std::uint64_t far_wait_ns = 5'000'000;
constexpr std::uint64_t far_share = 10;
constexpr std::uint64_t compare_ns = 100;  // of one write, out of the cache
constexpr std::size_t last_searches = 64;  // beyond that share, at the end of a stream

// What is kept of writes that are over, for those to come: the allocator would otherwise be asked
// with each. No more than 64 KiB, unless they are longer than lines are.
constexpr std::size_t most_spare = 128;
constexpr std::size_t most_spare_bytes = 1024;

// Agreement of fewer bytes may be chance, of more is no more certain.
constexpr std::size_t telling_length = 8;
constexpr std::size_t most_compared = 64;

// How much of a stream that was found is searched for where its reads and writes agree: a second's
// work, should a container have made its output so that they never do.
constexpr std::uint64_t most_searched = 1ULL << 30U;

// Where that begins, if it is there. Takes no longer for bytes that are all alike.
std::optional<std::size_t> find(std::string_view bytes, std::string_view wanted) {
    const void* at = ::memmem(bytes.data(), bytes.size(), wanted.data(), wanted.size());
    if (at == nullptr) return std::nullopt;
    return static_cast<const char*>(at) - bytes.data();
}

}  // namespace

void ReadAssembler::Write::drop_front(std::uint64_t count) {
    count = std::min(count, length);
    position += static_cast<std::int64_t>(count);
    length -= count;
    bytes.drop_front(count);
}

void ReadAssembler::Write::forget_writer() {
    writer = {};
    comm.clear();
}

// Becomes both, if nothing stands between them and no byte is lost by it.
bool ReadAssembler::Write::take_in(const Write& next) {
    const bool whole = bytes.size() == length;
    if (next.position != end() || !(whole || next.bytes.empty())) return false;
    if (!whole && next.reason != reason) return false;
    if (whole) reason = next.reason;
    bytes.recorded += next.bytes.view();
    length += next.length;
    if (next.writer.tid != writer.tid) forget_writer();
    return true;
}

Origin ReadAssembler::origin() const {
    Origin origin{current_.time, current_.writer};
    origin.writer.comm = current_.comm;
    return origin;
}

void ReadAssembler::written(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                            GapReason reason, const Origin& origin) {
    last_time_ = std::max(last_time_, origin.time);
    now_ = std::max(now_, last_time_);
    if (length == 0) return;
    bytes = bytes.substr(0, length);
    Writes recorded;
    if (spare_.empty()) {
        recorded.emplace_back();
    } else {
        recorded.splice(recorded.end(), spare_, spare_.begin());
    }
    Write& write = recorded.front();
    write.position = static_cast<std::int64_t>(position) + shift_;
    write.length = length;
    write.bytes.recorded.assign(bytes);
    write.bytes.dropped = 0;
    write.reason = reason;
    write.time = origin.time;
    write.writer = origin.writer;
    write.comm.assign(origin.writer.comm);
    for (const Early& early : early_) {
        if (write.position < early.position) {
            write.position += static_cast<std::int64_t>(early.length);
        }
    }
    held_bytes_ += write.bytes.size();
    auto place = writes_.end();
    while (place != writes_.begin() && std::prev(place)->position > write.position) --place;
    writes_.splice(place, recorded);
    if (writes_.size() > most_waiting) take_in_last();
    const bool too_many = writes_.size() > most_waiting;
    if (!reads_.empty()) hand_on(too_many ? Wait::no_longer : Wait::for_writes);
    if ((held_bytes_ > more_than_a_pipe || too_many) && reads_.empty()) {
        if (is_read_) {
            forget_writes();
        } else {
            nobody_reads_ = true;
        }
    }
    if (!nobody_reads_) return;
    if (writes_.size() > most_waiting) {
        const std::int64_t known = std::max<std::int64_t>(writes_.back().end() - here(), 0);
        hand_on_written(static_cast<std::uint64_t>(known), reason, last_time_, Holes::pass);
    }
    hand_on_written(std::numeric_limits<std::uint64_t>::max(), reason, last_time_, Holes::stop);
}

// A program can claim more writes than a pipe holds bytes. The last ones become one.
void ReadAssembler::take_in_last() {
    const auto last = std::prev(writes_.end());
    if (std::prev(last)->take_in(*last)) writes_.pop_back();
}

void ReadAssembler::read(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                         GapReason reason, std::uint64_t time) {
    last_time_ = std::max(last_time_, time);
    now_ = std::max(now_, last_time_);
    last_progress_ = std::max(last_progress_, time);
    RecordedPart part(position, bytes, length);
    is_read_ = is_read_ || length > 0;
    nobody_reads_ = nobody_reads_ && !is_read_;
    part.drop_before(next_);
    if (part.length == 0) return;
    // The rule by far: the next bytes, and their write is known. They go on without a copy.
    if (part.position == next_ && reads_.empty()) {
        part.drop_front(attribute(part.bytes, time, Wait::for_writes));
    }
    if (!part.bytes.empty()) {
        hold(part.position, Read{part.bytes.size(), {std::string(part.bytes)}, reason, time});
    }
    if (part.length > part.bytes.size()) {
        hold(part.position + part.bytes.size(),
             Read{part.length - part.bytes.size(), {}, reason, time});
    }
    hand_on(held_bytes_ > attribution_hold ? Wait::no_longer : Wait::for_writes);
}

// A daemon that takes over is told again what the one before it had heard: the read that brings
// more stays.
bool ReadAssembler::brings_more(std::uint64_t position, const Read& read) {
    const auto known = reads_.find(position);
    if (known == reads_.end()) return true;
    if (read.bytes.size() <= known->second.bytes.size()) return false;
    held_bytes_ -= known->second.bytes.size();
    reads_.erase(known);
    return true;
}

void ReadAssembler::hold(std::uint64_t position, Read read) {
    if (!brings_more(position, read)) return;
    held_bytes_ += read.bytes.size();
    reads_.emplace(position, std::move(read));
}

// What is left of a read that was held.
void ReadAssembler::hold_rest(Reads::node_type read) {
    if (!brings_more(next_, read.mapped())) return;
    held_bytes_ += read.mapped().bytes.size();
    read.key() = next_;
    reads_.insert(std::move(read));
}

bool ReadAssembler::agree(const Write& write, std::string_view bytes) const {
    const std::size_t common = std::min(write.bytes.size(), bytes.size());
    return std::memcmp(write.bytes.view().data(), bytes.data(), common) == 0;
}

void ReadAssembler::shift_writes(std::int64_t distance) {
    shift_ += distance;
    for (Write& write : writes_) write.position += distance;
    for (Early& early : early_) early.position += distance;
}

// A stream that was found with somebody at work in it: which write the next bytes are of is found
// by comparing.
void ReadAssembler::align(std::string_view next_bytes) {
    if (aligned_ || writes_.empty() || next_bytes.size() < telling_length) return;
    const auto align_to = [this](std::int64_t position, const Write& write) {
        shift_writes(position - write.position);
        aligned_ = true;
    };
    const Write& first = writes_.front();
    if (first.bytes.size() >= telling_length) {
        const auto at = find(next_bytes, first.bytes.view().substr(0, most_compared));
        if (at) return align_to(here() + static_cast<std::int64_t>(*at), first);
        searched_ += next_bytes.size();
    }
    const std::string_view telling = next_bytes.substr(0, most_compared);
    std::size_t tried = 0;
    for (auto write = writes_.begin(); write != writes_.end() && tried < swap_window; ++write) {
        ++tried;
        const auto at = find(write->bytes.view(), telling);
        if (at) return align_to(here() - static_cast<std::int64_t>(*at), *write);
        searched_ += write->bytes.size();
    }
    // By the counts, then.
    aligned_ = searched_ > most_searched;
}

// The same by what is in the pipe: these are the bytes that were written last.
void ReadAssembler::align(const StreamEnds& looked) {
    if (!looked.unread) return;
    const auto pipe_end = static_cast<std::int64_t>(looked.read + *looked.unread);
    std::int64_t shift = pipe_end - static_cast<std::int64_t>(looked.written);
    // Where both ends were counted from the start, writers can only be behind, and no further than
    // it seemed by the bytes.
    if (from_start_) shift = std::clamp<std::int64_t>(shift, 0, std::max<std::int64_t>(shift_, 0));
    const std::int64_t distance = shift - shift_;
    shift_writes(distance);
    aligned_ = true;
    if (current_.length == 0 || distance == 0) return;
    current_.position += distance;
    // What is left of a write was begun at a wrong place, or is where its bytes were seen to be.
    if (here() + static_cast<std::int64_t>(current_.length) <= pipe_end && seen_refutes_counts()) {
        current_.position = here();
        return;
    }
    if (distance > 0) {
        writes_.push_front(std::move(current_));
        current_ = {};
        return;
    }
    held_bytes_ -= current_.bytes.size();
    current_.drop_front(static_cast<std::uint64_t>(here() - current_.position));
    held_bytes_ += current_.bytes.size();
}

// What was read last is what is left of the current write's own, and not what should have stood
// there by where the writes are now.
bool ReadAssembler::seen_refutes_counts() const {
    if (seen_.size() < telling_length) return false;
    const std::int64_t begin = here() - static_cast<std::int64_t>(seen_.size());
    const auto differs = [this, begin](const Write& write) {
        const std::int64_t from = std::max(begin, write.position);
        const std::int64_t to =
            std::min(here(), write.position + static_cast<std::int64_t>(write.bytes.size()));
        return from < to && seen_.compare(static_cast<std::size_t>(from - begin),
                                          static_cast<std::size_t>(to - from), write.bytes.view(),
                                          static_cast<std::size_t>(from - write.position),
                                          static_cast<std::size_t>(to - from)) != 0;
    };
    return differs(current_) || std::any_of(writes_.begin(), writes_.end(), differs);
}

// Writes whose bytes went on before they were recorded. Unless it is the counts that disagree: what
// came in unseen (aio) is counted by the reader only.
void ReadAssembler::forget_late_writes(std::string_view next_bytes) {
    while (!writes_.empty() && writes_.front().position < here()) {
        Write& first = writes_.front();
        const auto late = static_cast<std::uint64_t>(here() - first.position);
        if (debt_ >= late && first.bytes.size() >= telling_length &&
            next_bytes.size() >= telling_length && agree(first, next_bytes)) {
            debt_ = 0;
            shift_writes(static_cast<std::int64_t>(late));
            return;
        }
        debt_ -= std::min(debt_, std::min(late, first.length));
        held_bytes_ -= first.bytes.size();
        first.drop_front(late);
        held_bytes_ += first.bytes.size();
        if (first.length == 0) drop_write(writes_.begin());
    }
}

// More than the pipe can hold, of which the reader has brought nothing: he will, or it was never
// there. A write is what a system call says that it has done, and a program has ways to make one
// say so that has done nothing or something else.
void ReadAssembler::forget_writes() {
    while (!writes_.empty() && (held_bytes_ > more_than_a_pipe || writes_.size() > most_waiting)) {
        held_bytes_ -= writes_.front().bytes.size();
        drop_write(writes_.begin());
    }
}

// Once all that were counted before it have come and gone, wherever those that were taken later
// have moved them.
void ReadAssembler::forget_early() {
    std::uint64_t moved = 0;
    for (const Early& early : early_) moved += early.length;
    while (!early_.empty() &&
           early_.front().position + static_cast<std::int64_t>(moved) <= here()) {
        moved -= early_.front().length;
        early_.pop_front();
    }
}

// Makes the write current; those before it were recorded too early and come after it, and so do
// those that are still on their way here: records need not come in the order of their positions.
void ReadAssembler::take_write(Writes::iterator taken) {
    held_bytes_ -= current_.bytes.size();
    forget_early();
    std::uint64_t known = 0;
    for (auto before = writes_.begin(); before != taken; ++before) {
        before->position += static_cast<std::int64_t>(taken->length);
        known += before->length;
    }
    if (here() + static_cast<std::int64_t>(known) < taken->position) {
        if (early_.size() == most_early) early_.pop_front();
        early_.push_back({taken->position, taken->length});
    }
    std::swap(current_, *taken);
    current_.position = here();
    seen_.clear();
    drop_write(taken);
}

// Takes it out of those that wait; returns the next.
ReadAssembler::Writes::iterator ReadAssembler::drop_write(Writes::iterator write) {
    if (spare_.size() == most_spare || write->bytes.recorded.capacity() > most_spare_bytes) {
        return writes_.erase(write);
    }
    const auto next = std::next(write);
    spare_.splice(spare_.begin(), writes_, write);
    return next;
}

// Of those that may have swapped places with the current one some are another thread's.
bool ReadAssembler::others_write() const {
    std::size_t looked_at = 0;
    for (const Write& write : writes_) {
        if (write.writer.tid != current_.writer.tid) return true;
        if (++looked_at == swap_window) break;
    }
    return false;
}

// Finds the write that the next bytes are of and makes it current. False: it may still come.
bool ReadAssembler::choose_write(std::string_view next_bytes, std::uint64_t time, Wait wait) {
    align(next_bytes);
    forget_late_writes(next_bytes);
    if (writes_.empty() || writes_.front().position > here()) {
        const std::uint64_t until = writes_.empty()
                                        ? std::numeric_limits<std::uint64_t>::max()
                                        : static_cast<std::uint64_t>(writes_.front().position);
        const std::uint64_t settled = written_up_to();
        std::uint64_t unknown = 0;
        if (settled > next_) {
            unknown = std::min(until, settled) - next_;
        } else if (wait == Wait::no_longer) {
            unknown = std::min<std::uint64_t>(until - next_, next_bytes.size());
            debt_ += unknown;
        } else {
            return false;
        }
        held_bytes_ -= current_.bytes.size();
        current_ = Write{.position = here(), .length = unknown, .time = time};
        seen_.clear();
        return true;
    }
    if (const auto write = find_write(next_bytes, time, wait); write != writes_.end()) {
        take_write(write);
        in_doubt_ = false;
        return true;
    }
    // A write that was recorded late may still come, or the writer has changed its bytes.
    if (wait == Wait::for_writes && !next_bytes.empty()) return false;
    take_write(writes_.begin());
    // Where all are one thread's, that one has changed its bytes. Of several none is known: another
    // one that was not recorded yet may be meant, and then the next ones, too, are not what they
    // seem to be.
    in_doubt_ = !next_bytes.empty() && (in_doubt_ || others_write());
    if (in_doubt_) current_.forget_writer();
    return true;
}

// That agrees with the bytes: among those that may have swapped places, then among those that were
// recorded long after they went into the pipe.
ReadAssembler::Writes::iterator ReadAssembler::find_write(std::string_view next_bytes,
                                                          std::uint64_t time, Wait wait) {
    auto write = writes_.begin();
    for (std::size_t i = 0; i < swap_window && write != writes_.end() && !next_bytes.empty();
         ++i, ++write) {
        // Of a write without bytes nothing can be said against its being the next.
        if (i > 0 && write->bytes.empty()) continue;
        if (agree(*write, next_bytes)) return write;
    }
    if (writes_.size() <= swap_window || next_bytes.size() < telling_length ||
        (wait == Wait::for_writes && now_ < time + far_wait_ns)) {
        return writes_.end();
    }
    if (now_ < next_far_search_) {
        if (last_searches_ == 0) return writes_.end();
        --last_searches_;
    }
    next_far_search_ = now_ + writes_.size() * compare_ns * far_share;
    // The first one, as one and the same writer may have written the same again.
    return std::find_if(write, writes_.end(), [&](const Write& write) {
        return write.bytes.size() >= telling_length && agree(write, next_bytes);
    });
}

// Bytes of the current write, of which more is to come.
void ReadAssembler::see(std::string_view bytes) {
    const std::size_t before = bytes.size() - std::min(bytes.size(), most_compared);
    const std::string_view last = bytes.substr(before);
    if (bytes.size() > current_.bytes.size() ||
        current_.bytes.view().compare(before, last.size(), last) != 0) {
        seen_.clear();
        return;
    }
    seen_ += last;
    seen_.erase(0, seen_.size() - std::min(seen_.size(), most_compared));
}

// Hands on bytes at next_ as far as their writes are known; returns how many.
std::size_t ReadAssembler::attribute(std::string_view bytes, std::uint64_t time, Wait wait) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        if (current_.length == 0 && !choose_write(bytes.substr(done), time, wait)) break;
        const auto count =
            static_cast<std::size_t>(std::min<std::uint64_t>(current_.length, bytes.size() - done));
        const std::string_view part = bytes.substr(done, count);
        if (count < current_.length) see(part);
        const std::uint64_t position = next_;
        next_ += count;
        sink_.on_bytes(position, part, origin());
        held_bytes_ -= current_.bytes.size();
        current_.drop_front(count);
        held_bytes_ += current_.bytes.size();
        done += count;
    }
    return done;
}

// Bytes at next_ that no read has brought, as far as the writes have them; the others are a gap, or
// the end of it where holes are not to be passed. Returns how many are left.
std::uint64_t ReadAssembler::hand_on_written(std::uint64_t length, GapReason reason,
                                             std::uint64_t time, Holes holes) {
    seen_.clear();
    while (length > 0) {
        if (current_.length == 0) {
            forget_late_writes({});
            if (!writes_.empty() && writes_.front().position == here()) {
                take_write(writes_.begin());
            } else {
                // Lost on its way here as well, or not recorded yet: a reader may be faster than
                // the writer is recorded.
                if (holes == Holes::stop) return length;
                std::uint64_t missing = length;
                if (!writes_.empty()) {
                    missing = std::min(
                        missing, static_cast<std::uint64_t>(writes_.front().position - here()));
                }
                if (holes == Holes::pass_settled) {
                    const std::uint64_t settled = written_up_to();
                    if (settled <= next_) return length;
                    missing = std::min(missing, settled - next_);
                }
                const std::uint64_t position = next_;
                next_ += missing;
                length -= missing;
                sink_.on_gap(position, missing, reason, time);
                continue;
            }
        }
        const std::uint64_t position = next_;
        if (!current_.bytes.empty()) {
            const std::uint64_t count = std::min<std::uint64_t>(current_.bytes.size(), length);
            next_ += count;
            length -= count;
            sink_.on_bytes(position, current_.bytes.view().substr(0, count), origin());
            held_bytes_ -= count;
            current_.drop_front(count);
            continue;
        }
        if (holes == Holes::stop) return length;
        const std::uint64_t count = std::min(current_.length, length);
        next_ += count;
        length -= count;
        // That nobody had read it when it was written is no reason any more if somebody did.
        sink_.on_gap(position, count,
                     current_.reason == GapReason::unread ? reason : current_.reason,
                     current_.time);
        current_.drop_front(count);
    }
    return 0;
}

void ReadAssembler::hand_on(Wait wait) {
    for (;;) {
        const auto first = reads_.begin();
        const std::uint64_t until =
            first == reads_.end() ? settled_read_ : std::min(first->first, settled_read_);
        if (first == reads_.end() || first->first > next_) {
            if (until <= next_) return;
            hold(next_, Read{until - next_, {}, GapReason::ring_full, last_time_});
            continue;
        }
        const std::uint64_t position = first->first;
        auto held = reads_.extract(first);
        Read& read = held.mapped();
        held_bytes_ -= read.bytes.size();
        if (position < next_) {
            const std::uint64_t known = std::min(next_ - position, read.length);
            read.length -= known;
            read.bytes.drop_front(known);
            if (read.length > 0) hold_rest(std::move(held));
            continue;
        }
        if (read.bytes.empty()) {
            read.length =
                hand_on_written(read.length, read.reason, read.time,
                                wait == Wait::for_writes ? Holes::pass_settled : Holes::pass);
            if (read.length == 0) continue;
            hold_rest(std::move(held));
            return;
        }
        const std::size_t done = attribute(read.bytes.view(), read.time, wait);
        if (done == read.length) continue;
        read.length -= done;
        read.bytes.drop_front(done);
        hold_rest(std::move(held));
        return;
    }
}

void ReadAssembler::settle(const StreamEnds& ends) {
    settled_written_ = std::max(settled_written_, ends.written);
    settled_read_ = std::max(settled_read_, ends.read);
    is_read_ = is_read_ || settled_read_ > 0;
    if (!reads_.empty() || settled_read_ > next_) hand_on(Wait::for_writes);
    const std::uint64_t written = written_up_to();
    // No pipe holds that much: what no write has brought will come from nowhere.
    if (!is_read_ && reads_.empty() && written > next_ + more_than_a_pipe &&
        settled_read_ <= next_) {
        nobody_reads_ = true;
        hand_on_written(written - next_, GapReason::ring_full, last_time_, Holes::pass);
    }
}

void ReadAssembler::skip(const StreamEnds& to) {
    hand_on(Wait::no_longer);
    std::uint64_t until = to.read;
    if (nobody_reads_) {
        const std::int64_t written = static_cast<std::int64_t>(to.written) + shift_;
        until = std::max(until, static_cast<std::uint64_t>(std::max<std::int64_t>(written, 0)));
    }
    if (until <= next_) return;
    held_bytes_ -= current_.bytes.size();
    current_ = {};
    debt_ = 0;
    const std::uint64_t position = next_;
    next_ = until;
    sink_.on_gap(position, until - position, GapReason::rotated, last_time_);
    forget_late_writes({});
    hand_on(Wait::for_writes);
}

void ReadAssembler::tick(std::uint64_t now) {
    if (reads_.empty()) return;
    const bool too_long = now > reads_.begin()->second.time + attribution_wait_ns;
    if (now != std::numeric_limits<std::uint64_t>::max()) now_ = std::max(now_, now);
    if (too_long || writes_.size() > swap_window) {
        hand_on(too_long ? Wait::no_longer : Wait::for_writes);
    }
}

bool ReadAssembler::is_stuck(std::uint64_t now) const {
    if (!reads_.empty() || (writes_.empty() && current_.length == 0)) return false;
    const std::uint64_t oldest = current_.length > 0 ? current_.time : writes_.front().time;
    return now > std::max(oldest, last_progress_) + stuck_ns;
}

void ReadAssembler::look(const StreamEnds& ends, std::uint64_t at) {
    last_progress_ = at;
    if (!ends.unread || settled_read_ > ends.read || next_ < ends.read) return;  // it moves
    align(ends);
    forget_late_writes({});
    // All that is in it was handed on, from a copy that has their order: so it will be with what
    // follows.
    if (next_ >= ends.read + *ends.unread) return;
    nobody_reads_ = !is_read_;
    if (nobody_reads_) {
        hand_on_written(std::numeric_limits<std::uint64_t>::max(), GapReason::unread, at,
                        Holes::stop);
        return;
    }
    // Who reads brings all that follows, and will not bring what is not in the pipe.
    const std::uint64_t pipe_end = ends.read + *ends.unread;
    hand_on_written(pipe_end - next_, GapReason::unread, at, Holes::stop);
    const std::int64_t counted = static_cast<std::int64_t>(ends.written) + shift_;
    std::erase_if(writes_, [&](const Write& write) {
        const bool never_there =
            write.position >= static_cast<std::int64_t>(pipe_end) && write.position < counted;
        if (never_there) held_bytes_ -= write.bytes.size();
        return never_there;
    });
}

void ReadAssembler::end(const StreamEnds& ends, const StreamEnds& looked) {
    settle(ends);
    last_searches_ = last_searches;
    hand_on(Wait::no_longer);
    align(looked);
    const std::uint64_t written = written_up_to();
    // What was read to its end is complete, whatever the writers' count says.
    if (!ends.at_end && written > next_) {
        hand_on_written(written - next_, GapReason::unread, last_time_, Holes::pass);
    }
    for (const Write& write : writes_) held_bytes_ -= write.bytes.size();
    writes_.clear();
    held_bytes_ -= current_.bytes.size();
    current_ = {};
}

std::optional<std::uint64_t> ReadAssembler::oldest_waiting() const {
    if (current_.length > 0) return current_.time;
    if (!reads_.empty()) return reads_.begin()->second.time;
    if (!writes_.empty()) return writes_.front().time;
    return std::nullopt;
}

}  // namespace twinlog
