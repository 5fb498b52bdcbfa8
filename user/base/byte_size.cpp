// Reading and printing of sizes; semantics of go-units FromHumanSize, RAMInBytes and HumanSize.
#include "base/byte_size.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>

namespace twinlog {
namespace {

char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

tl::unexpected<Error> invalid(const char* what, std::string_view text) {
    return fail({}, std::string("invalid ") + what + ": '" + std::string(text) + "'");
}

Result<std::uint64_t> parse_size(std::string_view text, double step) {
    const std::size_t last = text.find_last_of("0123456789. ");
    if (last == std::string_view::npos) return invalid("size", text);
    std::string_view number = text.substr(0, text[last] == ' ' ? last : last + 1);
    const std::string_view suffix = text.substr(last + 1);
    if (number.starts_with('+')) number.remove_prefix(1);

    double size = 0;
    const char* const end = number.data() + number.size();
    const auto [stop, error] = std::from_chars(number.data(), end, size);
    // The negated comparison refuses NaN, too.
    if (error != std::errc{} || stop != end || !(size >= 0)) return invalid("size", text);

    if (!suffix.empty()) {
        constexpr std::string_view steps = "kmgtp";
        const char unit = to_lower(suffix[0]);
        const std::size_t power = steps.find(unit);
        const bool plain = unit == 'b' && suffix.size() == 1;
        if (!plain) {
            const bool tail_fits =
                suffix.size() == 1 || (suffix.size() == 2 && to_lower(suffix[1]) == 'b') ||
                (suffix.size() == 3 && to_lower(suffix[1]) == 'i' && to_lower(suffix[2]) == 'b');
            if (power == std::string_view::npos || !tail_fits) return invalid("suffix", suffix);
            for (std::size_t i = 0; i <= power; ++i) size *= step;
        }
    }
    constexpr double limit = 9223372036854775808.0;  // Docker counts in int64
    if (size >= limit) return invalid("size", text);
    return static_cast<std::uint64_t>(size);
}

}  // namespace

Result<std::uint64_t> parse_decimal_size(std::string_view text) {
    return parse_size(text, 1000);
}

Result<std::uint64_t> parse_binary_size(std::string_view text) {
    return parse_size(text, 1024);
}

std::string format_size(std::uint64_t bytes) {
    constexpr std::array<const char*, 7> units = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    // What %.3g would round up to 1000, and print as 1e+03, belongs to the next unit.
    constexpr double rounds_up = 999.5;
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= rounds_up && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g%s", value, units[unit]);
    return text.data();
}

std::string format_grouped(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3;) {
        at -= 3;
        text.insert(at, 1, ',');
    }
    return text;
}

}  // namespace twinlog
