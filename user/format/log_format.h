// What a log format is: how entries become bytes of a file and how they are read back, how its
// files are called. One file of code a format; formats() lists them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/entry.h"

namespace twinlog {

enum class FrameState : unsigned char {
    whole,
    need_more,  // what is there may be the beginning of an entry
    damaged,    // no entry begins here
};

// What a decoder found at the beginning of some bytes.
struct Frame {
    FrameState state = FrameState::damaged;
    // Bytes: of the whole entry; for need_more, at least so many are needed; if damaged, so many
    // can be no entry's beginning, at least one by decoders of EntryDecoder.
    std::size_t size = 0;
    bool known_source = false;  // stdout, stderr, or a gap of one; all else is not ours to show
    Entry entry;                // borrows from the bytes, or from the decoder until its next call
};

class EntryEncoder {
 public:
    EntryEncoder() = default;
    EntryEncoder(const EntryEncoder&) = delete;
    EntryEncoder& operator=(const EntryEncoder&) = delete;
    EntryEncoder(EntryEncoder&&) = delete;
    EntryEncoder& operator=(EntryEncoder&&) = delete;
    virtual ~EntryEncoder() = default;

    // Appends the entry's bytes; none where the format has no word for it.
    virtual void append(const Entry& entry, std::string& out) = 0;
};

// Entries must be handed over in the order of the file: pieces of a cut line are told from it.
class EntryDecoder {
 public:
    EntryDecoder() = default;
    EntryDecoder(const EntryDecoder&) = delete;
    EntryDecoder& operator=(const EntryDecoder&) = delete;
    EntryDecoder(EntryDecoder&&) = delete;
    EntryDecoder& operator=(EntryDecoder&&) = delete;
    virtual ~EntryDecoder() = default;

    // The entry that begins with the first byte. at_end: nothing comes after these bytes; then
    // need_more means that the file ends inside an entry. Reads no byte outside.
    virtual Frame decode(std::string_view bytes, bool at_end) = 0;
};

// What a format that stores less than an entry has must be told.
struct DecoderOptions {
    Source source = Source::stdout_;
    std::int64_t time_ns = 0;
};

// Whose log it is, as far as file names depend on it. Text is hostile.
struct LogOwner {
    std::string id;
    std::string name;
    std::string runtime;
    std::map<std::string, std::string> labels;
    // What its runtime adds to each entry.
    std::map<std::string, std::string> attributes = {};
};

// One file of a log, without its rotated ones.
struct LogPlace {
    std::string path;      // relative; its names hold nothing that leaves the directory
    bool in_pods = false;  // below the root of the CRI layout, not in the container's directory
    std::optional<Source> only = std::nullopt;  // what goes into it; none: both streams
    // Another path, which holds the owner's id, where the first is another container's: labels are
    // for anybody to choose. Empty: nobody else can have the first.
    std::string otherwise = {};
};

// What a format can hold of an entry.
struct Keeps {
    bool times = true;
    bool any_bytes = true;  // false: only UTF-8
    bool newlines = true;   // inside the text of an entry; false: it becomes several
    bool partials = true;   // ids and ordinals of pieces, not only that they are pieces
    bool facts = true;      // writer, position, run
    bool gaps = true;
    bool attributes = true;
};

// What a crash can leave behind the last whole entry of a file.
enum class Ending : std::uint8_t {
    frame,    // the beginning of a frame that is recognised as one
    line,     // a line without its newline
    nothing,  // any bytes are a good end
};

class LogFormat {
 public:
    LogFormat() = default;
    LogFormat(const LogFormat&) = delete;
    LogFormat& operator=(const LogFormat&) = delete;
    LogFormat(LogFormat&&) = delete;
    LogFormat& operator=(LogFormat&&) = delete;
    virtual ~LogFormat() = default;

    // What a user calls it.
    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual std::unique_ptr<EntryEncoder> encoder() const = 0;
    [[nodiscard]] virtual std::unique_ptr<EntryDecoder> decoder(
        const DecoderOptions& options) const = 0;
    [[nodiscard]] virtual std::vector<LogPlace> places(const LogOwner& owner) const = 0;
    [[nodiscard]] virtual Keeps keeps() const { return {}; }
    [[nodiscard]] virtual Ending ending() const { return Ending::line; }
};

// All there are, the default first. They live as long as the program.
std::span<const LogFormat* const> formats();
// The error names all that there are.
Result<const LogFormat*> find_format(std::string_view name);

}  // namespace twinlog
