// A line, or a partial of one, as Docker's logging drivers know it, plus what twinlog knows
// besides.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace twinlog {

enum class Source : std::uint8_t { stdout_ = 0, stderr_ = 1 };

inline constexpr std::string_view source_name(Source source) {
    return source == Source::stdout_ ? "stdout" : "stderr";
}

// The process whose write ended the line. Ids as the host sees them, but for the last.
struct Writer {
    std::uint32_t pid = 0;  // thread group, what ps shows
    std::uint32_t tid = 0;
    std::string_view comm;     // hostile: the process chooses it; at most 15 bytes
    std::uint32_t ns_pid = 0;  // pid as its own pid namespace sees it

    bool operator==(const Writer&) const = default;
};

// A line of 16 KiB and more is stored in pieces; moby daemon/logger/copier.go.
struct Partial {
    std::string_view id;       // the same for all pieces of a line: 64 lower-case hex digits
    std::int32_t ordinal = 0;  // from 1
    bool last = false;

    bool operator==(const Partial&) const = default;
};

// Why bytes are missing. Values are stored in files: never renumber.
enum class GapReason : std::uint8_t {
    ring_full = 1,  // written faster than the daemon could take it
    fault = 2,      // the writer's memory was gone when it was to be copied
    zero_copy = 3,  // moved without a copy in user memory: sendfile, splice, tee, vmsplice …
    store = 4,      // captured, but the log could not be written (disk full, I/O error)
    unread = 5,     // left in the pipe when the last reader was gone
    rotated = 6,    // given up because so much came after it that the log would not keep it
    damaged = 7,    // was in the log, and is no longer: found, and mended, by `twinlog verify`
};

std::string_view gap_reason_text(GapReason reason);

// A range of a stream that is known to be missing.
struct Gap {
    std::uint64_t bytes = 0;
    GapReason reason = GapReason::ring_full;

    bool operator==(const Gap&) const = default;
};

// A value with views: it borrows its text from a buffer that the producer names (a stream's line
// buffer, a file's block) and is valid until the next call on that producer.
struct Entry {
    Source source = Source::stdout_;
    std::int64_t time_ns = 0;  // Unix time, ns
    std::string_view line;     // without its newline; any bytes
    std::optional<Partial> partial;

    // twinlog's own facts; absent (0, nullopt) in entries that dockerd wrote.
    std::uint32_t run = 0;         // which start of the container, from 1
    std::uint64_t position = 0;    // of the first byte of line (or of the gap) in its stream's run
    std::optional<Writer> writer;  // none for a gap
    std::optional<Gap> gap;        // set: this entry has no line, it stands for missing bytes

    // Docker's "extra attributes" (labels, env, tag), as attributes.h packs them; empty: none.
    std::string_view attributes = {};

    bool operator==(const Entry&) const = default;
};

// How much of its stream an entry stands for: a complete line had a newline that is not stored.
std::uint64_t stream_bytes(const Entry& entry);

}  // namespace twinlog
