// Docker's `local` log format, byte for byte, with twinlog's own facts in fields that Docker's
// readers skip (twinlog_entry.proto).
// Source of the format: moby daemon/logger/local/local.go and daemon/logger/internal/logdriver/
// entry.proto: uint32 big endian length, that many bytes of protobuf, the length again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "format/entry.h"
#include "format/log_format.h"

namespace twinlog::docker_local {

inline constexpr std::size_t length_size = 4;
// A frame without its protobuf.
inline constexpr std::size_t frame_overhead = 2 * length_size;
// Docker's reader refuses more: "log message is too large" in local/read.go.
inline constexpr std::size_t max_message = 1'000'000;

// Appends the entry's frame. A line beyond max_message is the caller's mistake: LineSplitter makes
// none.
void append(const Entry& entry, std::string& out);

using twinlog::Frame;
using twinlog::FrameState;

// What may be spent on bytes that look like frames and are none: lengths can be made to fit at
// every few bytes of a file, a MB each.
class Effort {
 public:
    [[nodiscard]] bool allows(std::size_t bytes) const { return bytes <= left_; }
    void spend(std::size_t bytes) { left_ -= std::min(bytes, left_); }
    // So many bytes lie behind.
    void earn(std::size_t bytes) { left_ = std::min(left_ + earned_per_byte * bytes, most); }

 private:
    // For a line of a container's that was made so and whose own frame is damaged.
    static constexpr std::size_t most = std::size_t{128} << 20U;
    static constexpr std::size_t earned_per_byte = 8;
    std::size_t left_ = most;
};

// The frame that begins with the first byte. Reads no byte outside, whatever they say. An empty
// message is damage: it is what a crash leaves as zeros at a file's end. With an effort, a frame is
// damage, too, that would cost more than it allows.
Frame decode(std::string_view bytes, Effort* effort = nullptr);

// Whether the bytes, which end before the frame that begins with the first of them does, can be
// what a crash left of one. False for a frame whose length lies: then whole entries may follow.
// Slower than decode(): meant for the end of a file.
bool begins_frame(std::string_view bytes);

// trailer: length_size bytes. Size of the frame that they end, 0 if they can't end one.
std::size_t frame_size_from_trailer(std::string_view trailer);

// The format by its name, "local". The functions above are its own, for speed.
const LogFormat& format();

}  // namespace twinlog::docker_local
