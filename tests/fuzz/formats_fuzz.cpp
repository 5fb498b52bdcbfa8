// Decoders of all log formats on any bytes, as `convert` uses them; and whatever entry they find,
// encoded and decoded again, is the same as far as the format can hold it.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/attributes.h"
#include "format/docker_local.h"
#include "format/json_text.h"
#include "format/log_format.h"
#include "fuzz.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

// An entry that owns its texts.
struct Kept {
    explicit Kept(const Entry& from)
        : entry(from),
          line(from.line),
          partial_id(from.partial ? from.partial->id : std::string_view()),
          comm(from.writer ? from.writer->comm : std::string_view()),
          attributes(from.attributes) {}

    [[nodiscard]] Entry view() const {
        Entry out = entry;
        out.line = line;
        if (out.partial) out.partial->id = partial_id;
        if (out.writer) out.writer->comm = comm;
        out.attributes = attributes;
        return out;
    }

    Entry entry;
    std::string line;
    std::string partial_id;
    std::string comm;
    std::string attributes;
};

constexpr DecoderOptions options{.source = Source::stderr_, .time_ns = 1'700'000'000'000'000'000};

// All entries of some bytes that come in two reads.
std::vector<Kept> decode_all(const LogFormat& format, std::string_view bytes, std::size_t first) {
    std::vector<Kept> entries;
    const auto decoder = format.decoder(options);
    std::size_t at = 0;
    std::size_t there = std::min(first, bytes.size());
    for (bool at_end = there == bytes.size();;) {
        // Memory of its own: no byte outside is read.
        const std::string rest(bytes.substr(at, there - at));
        const Frame frame = decoder->decode(rest, at_end);
        if (rest.empty() || frame.state == FrameState::need_more) {
            if (at_end) return entries;
            there = bytes.size();
            at_end = true;
            continue;
        }
        require(frame.size > 0 && frame.size <= rest.size(), "a decoder goes on, and no further");
        at += frame.size;
        if (frame.state == FrameState::whole && frame.known_source)
            entries.emplace_back(frame.entry);
    }
}

std::string encode_all(const LogFormat& format, const std::vector<Kept>& entries) {
    std::string out;
    const auto encoder = format.encoder();
    for (const Kept& kept : entries) encoder->append(kept.view(), out);
    return out;
}

std::string replaced(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t size = utf8_character_size(text);
        out += size == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, size);
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return out;
}

void check_same(const Entry& before, const Entry& after, const Keeps& keeps) {
    require(before.source == after.source, "the stream is kept");
    require(before.gap == after.gap, "a gap is kept");
    if (keeps.times) require(before.time_ns == after.time_ns, "the time is kept");
    if (!before.gap) {
        require(keeps.any_bytes ? before.line == after.line : replaced(before.line) == after.line,
                "the line is kept");
    }
    if (keeps.attributes && !before.gap) {
        const auto attributes = unpack_attributes(before.attributes);
        if (keeps.any_bytes) {
            require(attributes == unpack_attributes(after.attributes), "attributes are kept");
        }
    }
    if (keeps.facts) {
        require(before.run == after.run && before.position == after.position, "facts are kept");
        require(before.partial == after.partial, "pieces are kept");
        require(before.writer.has_value() == after.writer.has_value(), "the writer is kept");
    }
}

// Lines that the format's own decoder made: they hold nothing that it cannot say.
void round_trip(const LogFormat& format, std::string_view bytes, std::size_t first) {
    const std::vector<Kept> entries = decode_all(format, bytes, first);
    const std::vector<Kept> at_once = decode_all(format, bytes, bytes.size());
    require(entries.size() == at_once.size(), "entries do not depend on how the bytes come");
    if (format.name() == "raw") {
        // A last line without its newline is a piece of a line.
        require(encode_all(format, entries) == bytes, "raw bytes are kept");
        return;
    }
    const std::string text = encode_all(format, entries);
    const std::vector<Kept> again = decode_all(format, text, first);
    require(again.size() == entries.size(), "entries are kept");
    for (std::size_t i = 0; i < again.size(); ++i) {
        check_same(entries[i].view(), again[i].view(), format.keeps());
    }
    // JSON writes a byte that is no character as an escape, the character it stands for as it is.
    const std::string second = encode_all(format, again);
    require(encode_all(format, decode_all(format, second, first)) == second,
            "from the second time on nothing changes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const auto all = formats();
    const LogFormat& format = *all[input.byte() % all.size()];
    const auto first = static_cast<std::size_t>(input.upto(0xffff));
    const std::uint8_t framed = input.byte();
    if (&format == &docker_local::format() && framed % 2 == 1) {
        // A frame around messages that the fuzzer would hardly find.
        std::string bytes;
        while (!input.empty()) {
            const std::string_view message = input.take(1U + input.byte());
            const std::string length{'\0', '\0', '\0', static_cast<char>(message.size())};
            bytes += length + std::string(message) + length;
        }
        round_trip(format, bytes, first);
        return 0;
    }
    const std::string_view bytes = input.rest();
    round_trip(format, bytes, first);
    // What came from one format, written in all others.
    const std::vector<Kept> entries = decode_all(format, bytes, first);
    for (const LogFormat* other : all) {
        const std::string text = encode_all(*other, entries);
        const std::size_t count = decode_all(*other, text, first).size();
        if (other->keeps().gaps) require(count == entries.size(), "entries are kept elsewhere");
    }
    return 0;
}
