#include "cli/json_output.h"

#include <string_view>

#include "format/attributes.h"
#include "format/json_text.h"
#include "format/timestamp.h"

namespace twinlog {

namespace {

// Opens the object with whose it is.
void begin(const PrintedLog& log, std::string& out) {
    out += R"({"container":")";
    append_json_text(log.id, JsonStyle::library, out);
    out += R"(","name":")";
    append_json_text(log.name, JsonStyle::library, out);
    out += '"';
}

void append_text(std::string_view key, std::string_view value, std::string& out) {
    out += ",\"";
    out += key;
    out += "\":\"";
    append_json_text(value, JsonStyle::library, out);
    out += '"';
}

void append_number(std::string_view key, std::uint64_t value, std::string& out) {
    out += ",\"";
    out += key;
    out += "\":";
    out += std::to_string(value);
}

void append_writer(const Writer& writer, std::string& out) {
    out += R"(,"writer":{"pid":)" + std::to_string(writer.pid);
    append_number("tid", writer.tid, out);
    if (writer.ns_pid != 0) append_number("container_pid", writer.ns_pid, out);
    append_text("comm", writer.comm, out);
    out += '}';
}

void append_attributes(std::string_view packed, std::string& out) {
    std::string members;
    for (const auto& [key, value] : unpack_attributes(packed)) {
        members += members.empty() ? "\"" : ",\"";
        append_json_text(key, JsonStyle::library, members);
        members += "\":\"";
        append_json_text(value, JsonStyle::library, members);
        members += '"';
    }
    out += ",\"attrs\":{" + members + '}';
}

}  // namespace

void append_json_line(const PrintedLog& log, const Line& line, std::string& out) {
    const Entry& entry = line.entry;
    begin(log, out);
    append_text("stream", source_name(entry.source), out);
    out += R"(,"time":")";
    append_rfc3339_nano(entry.time_ns, out);
    out += '"';
    if (entry.gap) {
        append_number("lost", entry.gap->bytes, out);
        append_text("reason", gap_reason_text(entry.gap->reason), out);
    } else {
        append_text("line", entry.line, out);
    }
    // Entries that dockerd wrote have none of these.
    if (entry.run != 0) {
        append_number("run", entry.run, out);
        append_number("position", entry.position, out);
    }
    if (entry.writer) append_writer(*entry.writer, out);
    if (line.pieces > 1) append_number("pieces", line.pieces, out);
    if (entry.partial && entry.partial->ordinal > 1) out += ",\"beginning\":false";
    if (entry.partial && !entry.partial->last) out += ",\"newline\":false";
    if (!entry.attributes.empty()) append_attributes(entry.attributes, out);
    if (line.context) out += ",\"context\":true";
    out += '}';
}

void append_json_damage(const PrintedLog& log, const Damage& damage, std::string& out) {
    begin(log, out);
    append_text("damage", damage.message(), out);
    append_text("file", damage.file, out);
    append_number("file_position", damage.position, out);
    append_number("bytes", damage.bytes, out);
    out += '}';
}

}  // namespace twinlog
