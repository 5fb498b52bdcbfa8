// Texts from users and containers: times, sizes, escapes.
#include <cstring>
#include <string>
#include <string_view>

#include "base/byte_size.h"
#include "base/docker_time.h"
#include "base/escape.h"
#include "format/json_text.h"
#include "format/timestamp.h"
#include "fuzz.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

bool has_controls(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte < 0x20 || byte == 0x7f) return true;
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        if (byte == 0xc2 && next >= 0x80 && next < 0xa0) return true;  // C1
    }
    return false;
}

void append_utf8(std::uint32_t value, std::string& out) {
    const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (value < 0x80) return put(value);
    if (value < 0x800) {
        put(0xc0U | value >> 6U);
    } else if (value < 0x10000) {
        put(0xe0U | value >> 12U);
        put(0x80U | (value >> 6U & 0x3fU));
    } else {
        put(0xf0U | value >> 18U);
        put(0x80U | (value >> 12U & 0x3fU));
        put(0x80U | (value >> 6U & 0x3fU));
    }
    put(0x80U | (value & 0x3fU));
}

// The way back: that there is one shows that an escaped text has one meaning.
std::string unescaped(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        if (text.front() != '\\') {
            out += text.front();
            text.remove_prefix(1);
            continue;
        }
        require(text.size() >= 2, "no escape is cut off");
        const char kind = text[1];
        text.remove_prefix(2);
        const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
        if (digits == 0) {
            constexpr std::string_view kinds = "nrt\\";
            const std::size_t which = kinds.find(kind);
            require(which != std::string_view::npos, "escapes are known ones");
            out += "\n\r\t\\"[which];
            continue;
        }
        require(text.size() >= digits, "no escape is cut off");
        const auto value = static_cast<std::uint32_t>(
            std::stoul(std::string(text.substr(0, digits)), nullptr, 16));
        text.remove_prefix(digits);
        if (kind == 'x')
            out += static_cast<char>(value);
        else
            append_utf8(value, out);
    }
    return out;
}

void escape(std::string_view text) {
    const std::string shown = escape_for_terminal(text);
    require(!has_controls(shown), "nothing acts on a terminal");
    require(is_utf8(shown), "a terminal gets UTF-8");
    require(unescaped(shown) == text, "an escaped text is unambiguous");
    for (const JsonStyle style : {JsonStyle::line, JsonStyle::library}) {
        std::string json;
        append_json_text(text, style, json);
        require(is_utf8(json), "JSON is UTF-8");
        for (const char c : json) {
            require(static_cast<unsigned char>(c) >= 0x20, "JSON has no control bytes");
        }
    }
}

void read_time(Input& input) {
    TimeReference reference;
    reference.now_ns = static_cast<std::int64_t>(input.upto(0xffffffff)) << 30U;
    reference.utc_offset_seconds = static_cast<std::int32_t>(input.upto(0xffff)) - 0x8000;
    const std::string text(input.rest());
    const auto time = parse_docker_time("since", text, reference);
    if (!time) {
        require(!has_controls(time.error().message()), "an error harms no terminal");
        return;
    }
    require(time->has_value() == !text.empty(), "only nothing means nothing");
}

// Times that int64 holds are printed so that they can be read.
void print_time(Input& input) {
    std::int64_t time = 0;
    const std::string_view bytes = input.take(sizeof(time));
    std::memcpy(&time, bytes.data(), bytes.size());
    std::string text;
    append_rfc3339_nano(time, text);
    require(parse_rfc3339(text) == time, "a time is read as it was written");
    std::string docker;
    append_docker_time(time, docker);
    require(docker.size() == 30, "times are of one length");
    const auto read = parse_docker_time("since", docker, {});
    require(read && *read == time, "a time is read as it was written for docker");
    require(!human_duration(time).empty(), "a span has words");
}

void read_size(std::string_view text) {
    for (const bool binary : {false, true}) {
        const auto size = binary ? parse_binary_size(text) : parse_decimal_size(text);
        if (!size) continue;
        require(*size < std::uint64_t{1} << 63U, "a size is one of Docker's");
        const std::string shown = format_size(*size);
        require(!shown.empty() && shown.size() < 8, "a size is short");
        // As docker prints EB, but reads no more than PB.
        require(parse_decimal_size(shown).has_value() || shown.ends_with("EB"),
                "a size that is printed can be read");
        (void)format_grouped(*size);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    switch (input.byte() % 5) {
        case 0:
            escape(input.rest());
            break;
        case 1:
            read_time(input);
            break;
        case 2:
            print_time(input);
            break;
        case 3:
            (void)parse_rfc3339(input.rest());
            break;
        default:
            read_size(input.rest());
    }
    return 0;
}
