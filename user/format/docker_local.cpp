// Encoder and decoder of Docker's `local` frames; protobuf by hand, because the messages are small
// and must be written without an allocation each.
#include "format/docker_local.h"

#include <cstdint>
#include <limits>
#include <optional>

namespace twinlog::docker_local {

namespace {

// Field numbers, twinlog_entry.proto.
enum Field : std::uint32_t {
    field_source = 1,
    field_time_nano = 2,
    field_line = 3,
    field_partial = 4,
    field_partial_metadata = 5,
    field_position = 1000,
    field_run = 1001,
    field_writer = 1002,
    field_gap = 1003,
};

enum WireType : std::uint32_t {
    wire_varint = 0,
    wire_fixed64 = 1,
    wire_bytes = 2,
    wire_fixed32 = 5
};

// A source that Docker does not know and so does not print.
constexpr std::string_view gap_source_stdout = "gap-stdout";
constexpr std::string_view gap_source_stderr = "gap-stderr";

std::string_view stored_source(const Entry& entry) {
    if (!entry.gap) return source_name(entry.source);
    return entry.source == Source::stdout_ ? gap_source_stdout : gap_source_stderr;
}

void put_varint(std::string& out, std::uint64_t value) {
    while (value >= 0x80) {
        out += static_cast<char>(value | 0x80U);
        value >>= 7U;
    }
    out += static_cast<char>(value);
}

void put_number(std::string& out, std::uint32_t field, std::uint64_t value) {
    put_varint(out, field << 3U | wire_varint);
    put_varint(out, value);
}

void put_bytes(std::string& out, std::uint32_t field, std::string_view bytes) {
    put_varint(out, field << 3U | wire_bytes);
    put_varint(out, bytes.size());
    out += bytes;
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

std::size_t varint_size(std::uint64_t value) {
    std::size_t size = 1;
    while (value >= 0x80) {
        value >>= 7U;
        ++size;
    }
    return size;
}

std::size_t number_size(std::uint32_t field, std::uint64_t value) {
    return varint_size(field << 3U) + varint_size(value);
}

std::size_t bytes_size(std::uint32_t field, std::size_t length) {
    return varint_size(field << 3U) + varint_size(length) + length;
}

void put_partial(std::string& out, const Partial& partial) {
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

void put_writer(std::string& out, const Writer& writer) {
    put_varint(out, field_writer << 3U | wire_bytes);
    std::size_t size = 0;
    if (writer.pid != 0) size += number_size(1, writer.pid);
    if (writer.tid != 0) size += number_size(2, writer.tid);
    if (!writer.comm.empty()) size += bytes_size(3, writer.comm.size());
    put_varint(out, size);
    if (writer.pid != 0) put_number(out, 1, writer.pid);
    if (writer.tid != 0) put_number(out, 2, writer.tid);
    if (!writer.comm.empty()) put_bytes(out, 3, writer.comm);
}

void put_gap(std::string& out, const Gap& gap) {
    const auto reason = static_cast<std::uint64_t>(gap.reason);
    put_varint(out, field_gap << 3U | wire_bytes);
    put_varint(out, number_size(1, gap.bytes) + number_size(2, reason));
    put_number(out, 1, gap.bytes);
    put_number(out, 2, reason);
}

// One protobuf field after the other; every length is checked against what is there.
class Fields {
 public:
    // missing: how many bytes of the message come after those that are there.
    explicit Fields(std::string_view message, std::size_t missing = 0)
        : rest_(message), missing_(missing) {}

    // False at the end or at something that is no field; then failed() tells which.
    bool next() {
        if (rest_.empty() || failed_) return false;
        const auto tag = take_varint();
        if (!tag || *tag >> 3U == 0 || *tag >> 3U > std::numeric_limits<std::uint32_t>::max()) {
            return fail();
        }
        field_ = static_cast<std::uint32_t>(*tag >> 3U);
        wire_ = static_cast<std::uint32_t>(*tag & 7U);
        number_ = 0;
        bytes_ = {};
        switch (wire_) {
            case wire_varint: {
                const auto value = take_varint();
                if (!value) return fail();
                number_ = *value;
                return true;
            }
            case wire_bytes: {
                const auto size = take_varint();
                return size && take(*size) ? true : fail();
            }
            case wire_fixed64:
                return take(8) ? true : fail();
            case wire_fixed32:
                return take(4) ? true : fail();
            default:
                return fail();
        }
    }

    [[nodiscard]] bool failed() const { return failed_; }
    // It failed for no other reason than the bytes that are missing.
    [[nodiscard]] bool ran_out() const { return ran_out_; }
    [[nodiscard]] bool is_number(std::uint32_t field) const {
        return field_ == field && wire_ == wire_varint;
    }
    [[nodiscard]] bool is_bytes(std::uint32_t field) const {
        return field_ == field && wire_ == wire_bytes;
    }
    [[nodiscard]] std::uint64_t number() const { return number_; }
    [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
    bool fail() {
        failed_ = true;
        return false;
    }

    bool take(std::uint64_t size) {
        if (size > rest_.size()) {
            ran_out_ = size - rest_.size() <= missing_;
            return false;
        }
        bytes_ = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
    }

    std::optional<std::uint64_t> take_varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 70 && !rest_.empty(); shift += 7) {
            const auto byte = static_cast<unsigned char>(rest_.front());
            rest_.remove_prefix(1);
            if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
            if (byte < 0x80) return value;
        }
        ran_out_ = rest_.empty() && missing_ > 0;
        return std::nullopt;
    }

    std::string_view rest_;
    std::size_t missing_;
    bool failed_ = false;
    bool ran_out_ = false;
    std::uint32_t field_ = 0;
    std::uint32_t wire_ = 0;
    std::uint64_t number_ = 0;
    std::string_view bytes_;
};

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

bool decode_message(std::string_view message, Frame& frame) {
    Entry& entry = frame.entry;
    std::string_view source;
    bool partial = false;
    Partial metadata;
    Fields fields(message);
    while (fields.next()) {
        if (fields.is_bytes(field_source)) {
            source = fields.bytes();
        } else if (fields.is_number(field_time_nano)) {
            entry.time_ns = static_cast<std::int64_t>(fields.number());
        } else if (fields.is_bytes(field_line)) {
            entry.line = fields.bytes();
        } else if (fields.is_number(field_partial)) {
            partial = fields.number() != 0;
        } else if (fields.is_bytes(field_partial_metadata)) {
            if (!decode_partial(fields.bytes(), metadata)) return false;
            partial = true;
        } else if (fields.is_number(field_position)) {
            entry.position = fields.number();
        } else if (fields.is_number(field_run)) {
            entry.run = static_cast<std::uint32_t>(fields.number());
        } else if (fields.is_bytes(field_writer)) {
            if (!decode_writer(fields.bytes(), entry.writer.emplace())) return false;
        } else if (fields.is_bytes(field_gap)) {
            if (!decode_gap(fields.bytes(), entry.gap.emplace())) return false;
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

}  // namespace

void append(const Entry& entry, std::string& out) {
    const std::size_t begin = out.size();
    out.append(length_size, '\0');
    put_bytes(out, field_source, stored_source(entry));
    if (entry.time_ns != 0) {
        put_number(out, field_time_nano, static_cast<std::uint64_t>(entry.time_ns));
    }
    if (!entry.line.empty()) put_bytes(out, field_line, entry.line);
    if (entry.partial) put_partial(out, *entry.partial);
    if (entry.position != 0) put_number(out, field_position, entry.position);
    if (entry.run != 0) put_number(out, field_run, entry.run);
    if (entry.writer) put_writer(out, *entry.writer);
    if (entry.gap) put_gap(out, *entry.gap);
    const std::size_t size = out.size() - begin - length_size;
    out.append(length_size, '\0');
    put_length(out.data() + begin, size);
    put_length(out.data() + begin + length_size + size, size);
}

Frame decode(std::string_view bytes) {
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
    if (!decode_message(bytes.substr(length_size, message), frame)) return Frame{};
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

}  // namespace twinlog::docker_local
