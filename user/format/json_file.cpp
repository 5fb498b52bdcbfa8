// Writer and reader of json-file lines. A place where bytes are missing is an object with a stream
// that Docker does not know and so does not print, and a member of ours.
#include "format/json_file.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "format/attributes.h"
#include "format/json_text.h"
#include "format/pieces.h"
#include "format/timestamp.h"

namespace twinlog {

namespace {

// A piece of 16 KiB is six times as long where each byte is written as \u0000; the rest is for
// attributes. A longer line is none of this format.
constexpr std::size_t max_line = std::size_t{4} << 20U;

constexpr std::string_view gap_prefix = "gap-";
constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD

void append_attributes(std::string_view packed, std::string& out) {
    out += ",\"attrs\":{";
    bool first = true;
    for (const auto& [key, value] : unpack_attributes(packed)) {
        out += first ? "\"" : ",\"";
        append_json_text(key, JsonStyle::library, out);
        out += "\":\"";
        append_json_text(value, JsonStyle::library, out);
        out += '"';
        first = false;
    }
    out += '}';
}

void append_gap(const Entry& entry, std::string& out) {
    out += R"({"stream":")";
    out += gap_prefix;
    out += source_name(entry.source);
    out += R"(","lost":)" + std::to_string(entry.gap->bytes);
    out += ",\"reason\":" + std::to_string(static_cast<unsigned>(entry.gap->reason));
    out += ",\"run\":" + std::to_string(entry.run);
    out += ",\"position\":" + std::to_string(entry.position);
}

class JsonFileEncoder : public EntryEncoder {
 public:
    void append(const Entry& entry, std::string& out) override {
        if (entry.gap) {
            append_gap(entry, out);
        } else {
            const bool ends_line = !entry.partial || entry.partial->last;
            out += '{';
            if (!entry.line.empty() || ends_line) {
                out += R"("log":")";
                append_json_text(entry.line, JsonStyle::line, out);
                out += ends_line ? "\\n\"," : "\",";
            }
            out += R"("stream":")";
            out += source_name(entry.source);
            out += '"';
            if (!entry.attributes.empty()) append_attributes(entry.attributes, out);
        }
        out += R"(,"time":")";
        append_rfc3339_nano(entry.time_ns, out);
        out += "\"}\n";
    }
};

void append_utf8(std::uint32_t character, std::string& out) {
    const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (character < 0x80) {
        put(character);
    } else if (character < 0x800) {
        put(0xc0U | character >> 6U);
        put(0x80U | (character & 0x3fU));
    } else if (character < 0x10000) {
        put(0xe0U | character >> 12U);
        put(0x80U | (character >> 6U & 0x3fU));
        put(0x80U | (character & 0x3fU));
    } else {
        put(0xf0U | character >> 18U);
        put(0x80U | (character >> 12U & 0x3fU));
        put(0x80U | (character >> 6U & 0x3fU));
        put(0x80U | (character & 0x3fU));
    }
}

// Walks over one line of JSON. Each function takes what it names from the front, or is false.
class Json {
 public:
    explicit Json(std::string_view text) : rest_(text) {}

    bool character(char wanted) {
        skip_space();
        if (!rest_.starts_with(wanted)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    // text borrows from the line where it can, else from buffer.
    bool string(std::string_view& text, std::string& buffer) {
        if (!character('"')) return false;
        const std::size_t plain = rest_.find_first_of("\"\\");
        if (plain == std::string_view::npos) return false;
        if (rest_[plain] == '"') {
            text = rest_.substr(0, plain);
            rest_.remove_prefix(plain + 1);
            return true;
        }
        buffer.clear();
        for (;;) {
            const std::size_t special = rest_.find_first_of("\"\\");
            if (special == std::string_view::npos) return false;
            buffer += rest_.substr(0, special);
            const bool over = rest_[special] == '"';
            rest_.remove_prefix(special + 1);
            if (over) break;
            if (!escape(buffer)) return false;
        }
        text = buffer;
        return true;
    }

    bool number(std::uint64_t& value) {
        skip_space();
        const auto [stop, error] =
            std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
        if (error != std::errc{}) return false;
        rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.data()));
        return true;
    }

    // Any value; depth guards the stack.
    bool skip_value(int depth = 0) {
        constexpr int most_nested = 64;
        if (depth > most_nested) return false;
        skip_space();
        if (rest_.empty()) return false;
        const char first = rest_.front();
        if (first == '"') {
            std::string_view ignored;
            return string(ignored, scratch_);
        }
        if (first == '{' || first == '[') return skip_members(first == '{', depth);
        const std::size_t end = std::min(rest_.find_first_of(",}] \t\r"), rest_.size());
        rest_.remove_prefix(end);
        return end > 0;
    }

    [[nodiscard]] bool done() {
        skip_space();
        return rest_.empty();
    }

 private:
    void skip_space() {
        const std::size_t end = rest_.find_first_not_of(" \t\r");
        rest_.remove_prefix(std::min(end, rest_.size()));
    }

    bool skip_members(bool object, int depth) {
        const char close = object ? '}' : ']';
        character(object ? '{' : '[');
        if (character(close)) return true;
        do {
            std::string_view key;
            if (object && !(string(key, scratch_) && character(':'))) return false;
            if (!skip_value(depth + 1)) return false;
        } while (character(','));
        return character(close);
    }

    bool hex4(std::uint32_t& value) {
        if (rest_.size() < 4) return false;
        const auto [stop, error] = std::from_chars(rest_.data(), rest_.data() + 4, value, 16);
        if (error != std::errc{} || stop != rest_.data() + 4) return false;
        rest_.remove_prefix(4);
        return true;
    }

    // What follows a backslash.
    bool escape(std::string& out) {
        if (rest_.empty()) return false;
        const char kind = rest_.front();
        rest_.remove_prefix(1);
        switch (kind) {
            case 'n':
                out += '\n';
                return true;
            case 'r':
                out += '\r';
                return true;
            case 't':
                out += '\t';
                return true;
            case 'b':
                out += '\b';
                return true;
            case 'f':
                out += '\f';
                return true;
            case '"':
            case '\\':
            case '/':
                out += kind;
                return true;
            case 'u':
                return unicode(out);
            default:
                return false;
        }
    }

    bool unicode(std::string& out) {
        std::uint32_t value = 0;
        if (!hex4(value)) return false;
        if (value >= 0xd800 && value <= 0xdbff && rest_.starts_with("\\u")) {
            const std::string_view before = rest_;
            rest_.remove_prefix(2);
            std::uint32_t low = 0;
            if (!hex4(low)) return false;
            if (low >= 0xdc00 && low <= 0xdfff) {
                append_utf8(0x10000 + ((value - 0xd800) << 10U) + (low - 0xdc00), out);
                return true;
            }
            rest_ = before;
        }
        if (value >= 0xd800 && value <= 0xdfff) {
            out += replacement;
        } else {
            append_utf8(value, out);
        }
        return true;
    }

    std::string_view rest_;
    std::string scratch_;
};

class JsonFileDecoder : public EntryDecoder {
 public:
    Frame decode(std::string_view bytes, bool at_end) override {
        Frame frame;
        const std::size_t newline = find_newline(bytes);
        if (newline == std::string_view::npos && bytes.size() >= max_line) {
            frame.size = bytes.size();
            return frame;
        }
        if (newline == std::string_view::npos && !at_end) {
            frame.state = FrameState::need_more;
            frame.size = bytes.size() + 1;
            return frame;
        }
        const std::string_view line = bytes.substr(0, newline);
        frame.size = std::min(line.size() + 1, bytes.size());
        if (parse(line, frame)) {
            frame.state = FrameState::whole;
        } else if (newline == std::string_view::npos) {
            frame.state = FrameState::need_more;
            frame.size = bytes.size() + 1;
        } else if (const std::size_t next = next_object(line); next != std::string_view::npos) {
            frame.size = next;
            rest_of_line_ = line.size() - next;
        }
        return frame;
    }

 private:
    // Searched for once a line, however many beginnings of entries there are in a damaged one.
    std::size_t find_newline(std::string_view bytes) {
        const std::size_t known = std::exchange(rest_of_line_, 0);
        if (known > 0 && known < bytes.size() && bytes[known] == '\n') return known;
        return bytes.substr(0, max_line).find('\n');
    }

    // Where a whole entry may begin behind damage, as if the newline before it were part of that.
    // No text of a container holds this: its quotes are escaped.
    static std::size_t next_object(std::string_view line) {
        for (std::size_t at = 1; (at = line.find("{\"", at)) != std::string_view::npos; ++at) {
            const std::string_view rest = line.substr(at);
            if (rest.starts_with(R"({"log":")") || rest.starts_with(R"({"stream":")")) return at;
        }
        return std::string_view::npos;
    }

    bool parse(std::string_view line, Frame& frame) {
        Json json(line);
        log_ = stream_ = time_ = {};
        lost_ = reason_ = run_ = position_ = 0;
        attributes_.clear();
        if (!json.character('{')) return false;
        if (!json.character('}')) {
            do {
                if (!member(json)) return false;
            } while (json.character(','));
            if (!json.character('}')) return false;
        }
        if (!json.done()) return false;
        const auto time = parse_rfc3339(time_);
        if (!time) return false;
        Entry& entry = frame.entry;
        entry.time_ns = *time;
        entry.attributes = attributes_;
        const bool of_gap = stream_.starts_with(gap_prefix);
        if (of_gap) stream_.remove_prefix(gap_prefix.size());
        entry.source = stream_ == source_name(Source::stderr_) ? Source::stderr_ : Source::stdout_;
        frame.known_source =
            stream_ == source_name(Source::stdout_) || stream_ == source_name(Source::stderr_);
        if (of_gap) {
            constexpr std::uint64_t most_reason = std::numeric_limits<std::uint8_t>::max();
            entry.gap = Gap{lost_, static_cast<GapReason>(std::min(reason_, most_reason))};
            entry.run = static_cast<std::uint32_t>(run_);
            entry.position = position_;
            return true;
        }
        const bool ends_line = log_.ends_with('\n');
        if (ends_line) log_.remove_suffix(1);
        entry.line = log_;
        if (frame.known_source) {
            entry.partial = pieces_.next(entry.source, ends_line, entry.time_ns);
        }
        return true;
    }

    bool member(Json& json) {
        std::string_view key;
        if (!json.string(key, key_buffer_) || !json.character(':')) return false;
        if (key == "log") return json.string(log_, log_buffer_);
        if (key == "stream") return json.string(stream_, stream_buffer_);
        if (key == "time") return json.string(time_, time_buffer_);
        if (key == "attrs") return attributes(json);
        if (key == "lost") return json.number(lost_);
        if (key == "reason") return json.number(reason_);
        if (key == "run") return json.number(run_);
        if (key == "position") return json.number(position_);
        return json.skip_value();
    }

    bool attributes(Json& json) {
        if (!json.character('{')) return json.skip_value();
        std::map<std::string, std::string> found;
        if (!json.character('}')) {
            do {
                std::string_view key;
                std::string_view value;
                if (!json.string(key, key_buffer_) || !json.character(':') ||
                    !json.string(value, value_buffer_)) {
                    return false;
                }
                found.emplace(key, value);
            } while (json.character(','));
            if (!json.character('}')) return false;
        }
        attributes_ = pack_attributes(found);
        return true;
    }

    Pieces pieces_;
    std::size_t rest_of_line_ = 0;  // behind what was damaged; 0: not known
    std::string_view log_;
    std::string_view stream_;
    std::string_view time_;
    std::uint64_t lost_ = 0;
    std::uint64_t reason_ = 0;
    std::uint64_t run_ = 0;
    std::uint64_t position_ = 0;
    std::string attributes_;
    std::string key_buffer_;
    std::string value_buffer_;
    std::string log_buffer_;
    std::string stream_buffer_;
    std::string time_buffer_;
};

class JsonFileFormat : public LogFormat {
 public:
    [[nodiscard]] std::string_view name() const override { return "json-file"; }
    [[nodiscard]] std::unique_ptr<EntryEncoder> encoder() const override {
        return std::make_unique<JsonFileEncoder>();
    }
    [[nodiscard]] std::unique_ptr<EntryDecoder> decoder(
        const DecoderOptions& /*options*/) const override {
        return std::make_unique<JsonFileDecoder>();
    }
    [[nodiscard]] std::vector<LogPlace> places(const LogOwner& owner) const override {
        return {{owner.id + "-json.log"}};
    }
    [[nodiscard]] Keeps keeps() const override {
        return {.any_bytes = false, .partials = false, .facts = false};
    }
};

}  // namespace

const LogFormat& json_file_format() {
    static const JsonFileFormat format;
    return format;
}

}  // namespace twinlog
