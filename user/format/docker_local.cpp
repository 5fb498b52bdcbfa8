// Encoder and decoder of Docker's `local` frames; protobuf by hand, because the messages are small
// and must be written without an allocation each.
#include "format/docker_local.h"

#include <cstdint>
#include <limits>

#include "format/protobuf.h"

namespace twinlog::docker_local {

namespace {

using protobuf::bytes_size;
using protobuf::Fields;
using protobuf::Fixed;
using protobuf::number_size;
using protobuf::put_bytes;
using protobuf::put_number;
using protobuf::put_varint;
using protobuf::tag_of;
using protobuf::wire_bytes;
using protobuf::wire_varint;

// Field numbers, twinlog_entry.proto.
enum Field : std::uint32_t {
    field_source = 1,
    field_time_nano = 2,
    field_line = 3,
    field_partial = 4,
    field_partial_metadata = 5,
    field_attributes = 6,
    field_position = 1000,
    field_run = 1001,
    field_writer = 1002,
    field_gap = 1003,
};

// A source that Docker does not know and so does not print.
constexpr std::string_view gap_source_stdout = "gap-stdout";
constexpr std::string_view gap_source_stderr = "gap-stderr";

std::string_view stored_source(const Entry& entry) {
    if (!entry.gap) return source_name(entry.source);
    return entry.source == Source::stdout_ ? gap_source_stdout : gap_source_stderr;
}

void put_length(char* at, std::size_t length) {
    for (std::size_t i = 0; i < length_size; ++i) {
        at[i] = static_cast<char>(length >> (8 * (length_size - 1 - i)));
    }
}

std::size_t get_length(std::string_view bytes) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < length_size; ++i) {
        length = length << 8U | static_cast<unsigned char>(bytes[i]);
    }
    return length;
}

template <class Out>
void put_partial(Out& out, const Partial& partial) {
    std::size_t size = 0;
    if (partial.last) size += number_size(1, 1);
    if (!partial.id.empty()) size += bytes_size(2, partial.id.size());
    if (partial.ordinal != 0) size += number_size(3, static_cast<std::uint32_t>(partial.ordinal));
    put_number(out, field_partial, 1);
    put_varint(out, field_partial_metadata << 3U | wire_bytes);
    put_varint(out, size);
    if (partial.last) put_number(out, 1, 1);
    if (!partial.id.empty()) put_bytes(out, 2, partial.id);
    if (partial.ordinal != 0) put_number(out, 3, static_cast<std::uint32_t>(partial.ordinal));
}

template <class Out>
void put_writer(Out& out, const Writer& writer) {
    put_varint(out, field_writer << 3U | wire_bytes);
    std::size_t size = 0;
    if (writer.pid != 0) size += number_size(1, writer.pid);
    if (writer.tid != 0) size += number_size(2, writer.tid);
    if (!writer.comm.empty()) size += bytes_size(3, writer.comm.size());
    if (writer.ns_pid != 0) size += number_size(4, writer.ns_pid);
    put_varint(out, size);
    if (writer.pid != 0) put_number(out, 1, writer.pid);
    if (writer.tid != 0) put_number(out, 2, writer.tid);
    if (!writer.comm.empty()) put_bytes(out, 3, writer.comm);
    if (writer.ns_pid != 0) put_number(out, 4, writer.ns_pid);
}

template <class Out>
void put_gap(Out& out, const Gap& gap) {
    const auto reason = static_cast<std::uint64_t>(gap.reason);
    put_varint(out, field_gap << 3U | wire_bytes);
    put_varint(out, number_size(1, gap.bytes) + number_size(2, reason));
    put_number(out, 1, gap.bytes);
    put_number(out, 2, reason);
}

// Sizes of an entry's pieces but for its line, so that they can be made on the stack: a tag has 2
// bytes at most, a number 10.
constexpr std::size_t number_room = 12;
constexpr std::size_t most_before_line = 2 + gap_source_stdout.size() + 2 * number_room;
constexpr std::size_t common_id = 64;                                             // Docker's ids
constexpr std::size_t common_comm = 16;                                           // TASK_COMM_LEN
constexpr std::size_t most_behind_line = (2 + 2 + 4 * number_room + common_id) +  // partial
                                         2 * number_room +                        // position, run
                                         (2 + 2 + 4 * number_room + common_comm) +
                                         (2 + 2 + 2 * number_room);  // writer, gap

template <class Out>
void put_behind_line(Out& out, const Entry& entry) {
    if (entry.partial) put_partial(out, *entry.partial);
    out += entry.attributes;
    if (entry.position != 0) put_number(out, field_position, entry.position);
    if (entry.run != 0) put_number(out, field_run, entry.run);
    if (entry.writer) put_writer(out, *entry.writer);
    if (entry.gap) put_gap(out, *entry.gap);
}

bool decode_partial(std::string_view message, Partial& partial) {
    Fields fields(message);
    while (fields.next()) {
        if (fields.is_number(1)) partial.last = fields.number() != 0;
        if (fields.is_bytes(2)) partial.id = fields.bytes();
        if (fields.is_number(3)) partial.ordinal = static_cast<std::int32_t>(fields.number());
    }
    return !fields.failed();
}

bool decode_writer(std::string_view message, Writer& writer) {
    Fields fields(message);
    while (fields.next()) {
        if (fields.is_number(1)) writer.pid = static_cast<std::uint32_t>(fields.number());
        if (fields.is_number(2)) writer.tid = static_cast<std::uint32_t>(fields.number());
        if (fields.is_bytes(3)) writer.comm = fields.bytes();
        if (fields.is_number(4)) writer.ns_pid = static_cast<std::uint32_t>(fields.number());
    }
    return !fields.failed();
}

// A number of a later version stays unknown and becomes no other reason.
GapReason reason_from(std::uint64_t number) {
    return static_cast<GapReason>(number <= std::numeric_limits<std::uint8_t>::max() ? number : 0);
}

bool decode_gap(std::string_view message, Gap& gap) {
    Fields fields(message);
    while (fields.next()) {
        if (fields.is_number(1)) gap.bytes = fields.number();
        if (fields.is_number(2)) gap.reason = reason_from(fields.number());
    }
    return !fields.failed();
}

// They stand one after the other; one that somebody put elsewhere is not worth a copy of all.
void add_attribute(std::string_view field, std::string_view& attributes) {
    if (attributes.empty()) attributes = field;
    if (attributes.data() + attributes.size() != field.data()) return;
    attributes = {attributes.data(), attributes.size() + field.size()};
}

bool decode_message(std::string_view message, Frame& frame) {
    Entry& entry = frame.entry;
    std::string_view source;
    bool partial = false;
    Partial metadata;
    Fields fields(message);
    while (fields.next()) {
        switch (fields.tag()) {
            case tag_of(field_source, wire_bytes):
                source = fields.bytes();
                break;
            case tag_of(field_time_nano, wire_varint):
                entry.time_ns = static_cast<std::int64_t>(fields.number());
                break;
            case tag_of(field_line, wire_bytes):
                entry.line = fields.bytes();
                break;
            case tag_of(field_partial, wire_varint):
                partial = fields.number() != 0;
                break;
            case tag_of(field_partial_metadata, wire_bytes):
                if (!decode_partial(fields.bytes(), metadata)) return false;
                partial = true;
                break;
            case tag_of(field_attributes, wire_bytes):
                add_attribute(fields.whole(), entry.attributes);
                break;
            case tag_of(field_position, wire_varint):
                entry.position = fields.number();
                break;
            case tag_of(field_run, wire_varint):
                entry.run = static_cast<std::uint32_t>(fields.number());
                break;
            case tag_of(field_writer, wire_bytes):
                if (!decode_writer(fields.bytes(), entry.writer.emplace())) return false;
                break;
            case tag_of(field_gap, wire_bytes):
                if (!decode_gap(fields.bytes(), entry.gap.emplace())) return false;
                break;
            default:  // somebody's extension
                break;
        }
    }
    if (fields.failed()) return false;
    if (partial) entry.partial = metadata;
    const bool of_gap = source == gap_source_stdout || source == gap_source_stderr;
    const bool of_stdout = source == source_name(Source::stdout_) || source == gap_source_stdout;
    const bool of_stderr = source == source_name(Source::stderr_) || source == gap_source_stderr;
    entry.source = of_stderr ? Source::stderr_ : Source::stdout_;
    // Both or neither say that it is a gap, else it is not one of ours.
    frame.known_source = (of_stdout || of_stderr) && of_gap == entry.gap.has_value();
    return true;
}

bool possible(std::size_t message) {
    return message > 0 && message <= max_message;
}

class LocalEncoder : public EntryEncoder {
 public:
    void append(const Entry& entry, std::string& out) override { docker_local::append(entry, out); }
};

class LocalDecoder : public EntryDecoder {
 public:
    Frame decode(std::string_view bytes, bool /*at_end*/) override {
        Frame frame = docker_local::decode(bytes, &effort_);
        if (frame.state == FrameState::damaged) frame.size = 1;
        if (frame.state != FrameState::need_more) effort_.earn(frame.size);
        return frame;
    }

 private:
    Effort effort_;
};

class LocalFormat : public LogFormat {
 public:
    [[nodiscard]] std::string_view name() const override { return "local"; }
    [[nodiscard]] std::unique_ptr<EntryEncoder> encoder() const override {
        return std::make_unique<LocalEncoder>();
    }
    [[nodiscard]] std::unique_ptr<EntryDecoder> decoder(
        const DecoderOptions& /*options*/) const override {
        return std::make_unique<LocalDecoder>();
    }
    [[nodiscard]] std::vector<LogPlace> places(const LogOwner& /*owner*/) const override {
        return {{"container-cached.log"}};
    }
    [[nodiscard]] Ending ending() const override { return Ending::frame; }
};

}  // namespace

void append(const Entry& entry, std::string& out) {
    // What stands before the line, and what stands behind it.
    Fixed<length_size + most_before_line> head;
    for (std::size_t i = 0; i < length_size; ++i) head += '\0';
    put_bytes(head, field_source, stored_source(entry));
    if (entry.time_ns != 0) {
        put_number(head, field_time_nano, static_cast<std::uint64_t>(entry.time_ns));
    }
    if (!entry.line.empty()) {
        put_varint(head, field_line << 3U | wire_bytes);
        put_varint(head, entry.line.size());
    }
    const bool is_common = entry.attributes.empty() &&
                           (!entry.partial || entry.partial->id.size() <= common_id) &&
                           (!entry.writer || entry.writer->comm.size() <= common_comm);
    if (is_common) {
        Fixed<most_behind_line + length_size> tail;
        put_behind_line(tail, entry);
        const std::size_t size = head.used() - length_size + entry.line.size() + tail.used();
        put_length(head.data(), size);
        for (std::size_t i = 0; i < length_size; ++i) tail += head.data()[i];
        out.append(head.view()).append(entry.line).append(tail.view());
        return;
    }
    std::string tail;
    put_behind_line(tail, entry);
    const std::size_t size = head.used() - length_size + entry.line.size() + tail.size();
    put_length(head.data(), size);
    tail.append(head.view().substr(0, length_size));
    out.append(head.view()).append(entry.line).append(tail);
}

Frame decode(std::string_view bytes, Effort* effort) {
    Frame frame;
    if (bytes.size() < length_size) {
        frame.state = FrameState::need_more;
        frame.size = frame_overhead;
        return frame;
    }
    const std::size_t message = get_length(bytes);
    if (!possible(message)) return frame;
    const std::size_t size = message + frame_overhead;
    if (bytes.size() < size) {
        frame.state = FrameState::need_more;
        frame.size = size;
        return frame;
    }
    if (get_length(bytes.substr(length_size + message)) != message) return frame;
    if (effort != nullptr && !effort->allows(message)) return frame;
    if (!decode_message(bytes.substr(length_size, message), frame)) {
        if (effort != nullptr) effort->spend(message);
        return Frame{};
    }
    frame.state = FrameState::whole;
    frame.size = size;
    return frame;
}

bool begins_frame(std::string_view bytes) {
    // Lengths are big endian: the bytes that are there, followed by zeros, are the least it can be.
    const std::string_view header = bytes.substr(0, length_size);
    std::string least(header);
    least.resize(length_size, '\0');
    const std::size_t message = get_length(least);
    if (header.size() < length_size) return message <= max_message;
    if (!possible(message)) return false;
    bytes.remove_prefix(length_size);
    const std::string_view there = bytes.substr(0, message);
    Fields fields(there, message - there.size());
    while (fields.next()) {
    }
    if (fields.failed() && !fields.ran_out()) return false;
    const std::string_view trailer = bytes.substr(there.size());
    return trailer.size() < length_size && header.starts_with(trailer);
}

std::size_t frame_size_from_trailer(std::string_view trailer) {
    if (trailer.size() < length_size) return 0;
    const std::size_t message = get_length(trailer);
    return possible(message) ? message + frame_overhead : 0;
}

const LogFormat& format() {
    static const LocalFormat local;
    return local;
}

}  // namespace twinlog::docker_local
