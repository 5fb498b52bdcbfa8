// Reading of --since/--until. A layout is walked as Go's time.Parse walks it, because its
// complaints, which users know from docker, name the place where the walk stopped.
#include "base/docker_time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <ctime>
#include <limits>

namespace twinlog {
namespace {

constexpr std::int64_t ns_per_second = 1'000'000'000;
constexpr std::int64_t ns_max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t ns_min = std::numeric_limits<std::int64_t>::min();

bool is_digit(std::string_view text, std::size_t at) {
    return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

std::int64_t floor_seconds(std::int64_t ns) {
    return ns / ns_per_second - (ns % ns_per_second < 0 ? 1 : 0);
}

// Saturates.
std::int64_t to_ns(std::int64_t seconds, std::int64_t ns) {
    return to_unix_ns(seconds, ns).value_or(seconds < 0 ? ns_min : ns_max);
}

// Go's %q for what a shell can hand over: bytes that could act on a terminal become escapes.
std::string quote(std::string_view text, bool keep_utf8) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out = "\"";
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const auto byte = static_cast<unsigned char>(c);
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (keep_utf8 && byte == 0xc2 && next >= 0x80 && next < 0xa0) {
            out += "\\u00";  // C1 controls
            out += hex[next >> 4U];
            out += hex[next & 0xfU];
            ++i;
        } else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !keep_utf8)) {
            out += "\\x";
            out += hex[byte >> 4U];
            out += hex[byte & 0xfU];
        } else {
            out += c;
        }
    }
    return out + '"';
}

struct Unit {
    std::string_view name;
    std::uint64_t ns;
};

constexpr std::array<Unit, 8> duration_units = {{
    {"ns", 1},
    {"us", 1'000},
    {"\u00b5s", 1'000},  // micro sign
    {"\u03bcs", 1'000},  // Greek mu
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
}};

// Go's time.ParseDuration: a sign, then number and unit, once or more.
std::optional<std::int64_t> parse_duration(std::string_view text) {
    bool negative = false;
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
        negative = text[0] == '-';
        text.remove_prefix(1);
    }
    if (text == "0") return 0;
    if (text.empty()) return std::nullopt;

    constexpr std::uint64_t limit = std::uint64_t{1} << 63U;
    std::uint64_t total = 0;
    while (!text.empty()) {
        std::uint64_t whole = 0;
        std::size_t digits = 0;
        for (; is_digit(text, 0); ++digits, text.remove_prefix(1)) {
            if (whole > limit / 10) return std::nullopt;
            whole = whole * 10 + static_cast<std::uint64_t>(text[0] - '0');
            if (whole > limit) return std::nullopt;
        }
        double fraction = 0;
        if (!text.empty() && text[0] == '.') {
            text.remove_prefix(1);
            double weight = 0.1;
            for (; is_digit(text, 0); ++digits, text.remove_prefix(1), weight /= 10) {
                fraction += weight * (text[0] - '0');
            }
        }
        if (digits == 0) return std::nullopt;

        const std::size_t unit_end = std::min(text.find_first_of(".0123456789"), text.size());
        const std::string_view name = text.substr(0, unit_end);
        const auto* const unit =
            std::find_if(duration_units.begin(), duration_units.end(),
                         [name](const Unit& candidate) { return candidate.name == name; });
        if (unit == duration_units.end()) return std::nullopt;
        text.remove_prefix(unit_end);

        if (whole > limit / unit->ns) return std::nullopt;
        total += whole * unit->ns +
                 static_cast<std::uint64_t>(std::llround(fraction * static_cast<double>(unit->ns)));
        if (total > limit) return std::nullopt;
    }
    if (negative) return static_cast<std::int64_t>(0 - total);
    if (total == limit) return std::nullopt;
    return static_cast<std::int64_t>(total);
}

struct ParsedTime {
    std::int64_t seconds = 0;  // Unix
    std::int64_t ns = 0;
};

// One walk of a value along a layout. fail_text() is what Go prints.
class LayoutParser {
 public:
    LayoutParser(std::string_view layout, std::string_view value, std::int32_t default_offset)
        : layout_(layout), value_(value), rest_(value), offset_(default_offset) {}

    // False: error() tells why.
    bool parse() {
        for (std::string_view layout = layout_; !layout.empty();) {
            const std::string_view element = next_element(layout);
            layout.remove_prefix(element.size());
            if (!take(element, layout)) return false;
        }
        if (!rest_.empty()) return stop(": extra text: " + quote(rest_, false));

        const std::chrono::year_month_day date{std::chrono::year(year_),
                                               std::chrono::month(static_cast<unsigned>(month_)),
                                               std::chrono::day(static_cast<unsigned>(day_))};
        if (!date.ok()) return stop(": day out of range");
        const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
        time_.seconds = days * 86400 + hour_ * 3600LL + minute_ * 60LL + second_ - offset_;
        return true;
    }

    [[nodiscard]] const ParsedTime& time() const { return time_; }
    [[nodiscard]] const std::string& error() const { return error_; }

 private:
    static constexpr std::string_view fraction_element = ".999999999";
    static constexpr std::string_view zone_element = "Z07:00";

    static std::string_view next_element(std::string_view layout) {
        static constexpr std::array<std::string_view, 8> elements = {
            "2006", "01", "02", "15", "04", "05", fraction_element, zone_element};
        for (const std::string_view element : elements) {
            if (layout.starts_with(element)) return element;
        }
        return layout.substr(0, 1);
    }

    bool stop(const std::string& message) {
        error_ = "parsing time " + quote(value_, false) + message;
        return false;
    }

    bool cannot_parse(std::string_view element, std::string_view where) {
        return stop(" as " + quote(layout_, false) + ": cannot parse " + quote(where, false) +
                    " as " + quote(element, false));
    }

    bool out_of_range(const char* what) { return stop(std::string(": ") + what + " out of range"); }

    // Two digits, or one where that is allowed.
    static std::optional<int> number(std::string_view& text, bool two) {
        if (!is_digit(text, 0) || (two && !is_digit(text, 1))) return std::nullopt;
        int result = 0;
        for (int i = 0; i < 2 && is_digit(text, 0); ++i, text.remove_prefix(1)) {
            result = result * 10 + (text[0] - '0');
        }
        return result;
    }

    bool take(std::string_view element, std::string_view following) {
        const std::string_view before = rest_;
        if (element == "2006") {
            if (rest_.size() < 4 || !is_digit(rest_, 0)) return cannot_parse(element, before);
            year_ = 0;
            for (std::size_t i = 0; i < 4; ++i) {
                if (!is_digit(rest_, i)) return cannot_parse(element, before);
                year_ = year_ * 10 + (rest_[i] - '0');
            }
            rest_.remove_prefix(4);
            return true;
        }
        if (element == "01") return take_number(element, true, 1, 12, "month", month_);
        // The day's range depends on the month and is checked at the end.
        if (element == "02") return take_number(element, true, 0, 99, "day", day_);
        if (element == "15") return take_number(element, false, 0, 23, "hour", hour_);
        if (element == "04") return take_number(element, true, 0, 59, "minute", minute_);
        if (element == "05") {
            if (!take_number(element, true, 0, 59, "second", second_)) return false;
            // A fraction is taken even where the layout has none.
            if (!following.starts_with(fraction_element)) take_fraction();
            return true;
        }
        if (element == fraction_element) {
            take_fraction();
            return true;
        }
        if (element == zone_element) return take_zone(before);
        if (!rest_.starts_with(element)) return cannot_parse(element, before);
        rest_.remove_prefix(element.size());
        return true;
    }

    bool take_number(std::string_view element, bool two, int least, int most, const char* what,
                     int& target) {
        const std::string_view before = rest_;
        const std::optional<int> result = number(rest_, two);
        if (!result) return cannot_parse(element, before);
        if (*result < least || *result > most) return out_of_range(what);
        target = *result;
        return true;
    }

    void take_fraction() {
        const bool separator = !rest_.empty() && (rest_[0] == '.' || rest_[0] == ',');
        if (!separator || !is_digit(rest_, 1)) return;
        rest_.remove_prefix(1);
        std::int64_t weight = ns_per_second / 10;
        time_.ns = 0;
        for (; is_digit(rest_, 0); rest_.remove_prefix(1), weight /= 10) {
            time_.ns += weight * (rest_[0] - '0');
        }
    }

    bool take_zone(std::string_view before) {
        if (rest_.starts_with('Z')) {
            rest_.remove_prefix(1);
            offset_ = 0;
            return true;
        }
        if (rest_.size() < 6 || rest_[3] != ':') return cannot_parse(zone_element, before);
        std::string_view hour_text = rest_.substr(1, 2);
        std::string_view minute_text = rest_.substr(4, 2);
        const std::optional<int> hours = number(hour_text, true);
        const std::optional<int> minutes = number(minute_text, true);
        if (!hours || !minutes) return cannot_parse(zone_element, before);
        // Go lets 24 hours and 60 minutes pass.
        if (*hours > 24) return out_of_range("time zone offset hour");
        if (*minutes > 60) return out_of_range("time zone offset minute");
        if (rest_[0] != '+' && rest_[0] != '-') return cannot_parse(zone_element, before);
        offset_ = (*hours * 60 + *minutes) * 60 * (rest_[0] == '-' ? -1 : 1);
        rest_.remove_prefix(6);
        return true;
    }

    std::string_view layout_;
    std::string_view value_;
    std::string_view rest_;
    std::int32_t offset_;
    int year_ = 1;
    int month_ = 1;
    int day_ = 1;
    int hour_ = 0;
    int minute_ = 0;
    int second_ = 0;
    ParsedTime time_;
    std::string error_;
};

// The layout that docker tries for a value of this look.
std::string_view choose_layout(std::string_view value, bool local) {
    if (value.find('.') != std::string_view::npos) {
        return local ? "2006-01-02T15:04:05.999999999" : "2006-01-02T15:04:05.999999999Z07:00";
    }
    if (value.find('T') == std::string_view::npos) return local ? "2006-01-02" : "2006-01-02Z07:00";

    auto colons = std::count(value.begin(), value.end(), ':');
    const bool offset = !local && value.find_first_of("zZ") == std::string_view::npos;
    if (offset && colons > 0) --colons;  // the one inside +01:00
    if (colons == 0) return local ? "2006-01-02T15" : "2006-01-02T15Z07:00";
    if (colons == 1) return local ? "2006-01-02T15:04" : "2006-01-02T15:04Z07:00";
    return local ? "2006-01-02T15:04:05" : "2006-01-02T15:04:05Z07:00";
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    if (text.starts_with('+')) {
        text.remove_prefix(1);
        if (!is_digit(text, 0)) return std::nullopt;
    }
    std::int64_t result = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, result);
    if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
    return result;
}

// secs[.nanos]
std::optional<std::int64_t> parse_unix(std::string_view value) {
    const std::size_t dot = value.find('.');
    const std::optional<std::int64_t> seconds = parse_integer(value.substr(0, dot));
    if (!seconds) return std::nullopt;
    if (dot == std::string_view::npos) return to_ns(*seconds, 0);
    const std::string_view digits = value.substr(dot + 1);
    const std::optional<std::int64_t> fraction = parse_integer(digits);
    if (!fraction) return std::nullopt;
    const double scale = std::pow(10.0, 9.0 - static_cast<double>(digits.size()));
    return to_ns(*seconds, static_cast<std::int64_t>(static_cast<double>(*fraction) * scale));
}

}  // namespace

std::optional<std::int64_t> to_unix_ns(std::int64_t seconds, std::int64_t ns) {
    // The first second that int64 has begins before what it can hold.
    if (seconds < 0 && ns > 0) {
        ++seconds;
        ns -= ns_per_second;
    }
    std::int64_t total = 0;
    if (__builtin_mul_overflow(seconds, ns_per_second, &total) ||
        __builtin_add_overflow(total, ns, &total)) {
        return std::nullopt;
    }
    return total;
}

TimeReference local_time_reference() {
    TimeReference reference;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    reference.now_ns = to_ns(now.tv_sec, now.tv_nsec);
    tm local{};
    if (::localtime_r(&now.tv_sec, &local) != nullptr) {
        reference.utc_offset_seconds = static_cast<std::int32_t>(local.tm_gmtoff);
    }
    return reference;
}

Result<std::optional<std::int64_t>> parse_docker_time(std::string_view option,
                                                      std::string_view value,
                                                      const TimeReference& reference) {
    if (value.empty()) return std::nullopt;
    // "0" is the Unix time, not a span.
    if (value != "0") {
        if (const std::optional<std::int64_t> duration = parse_duration(value)) {
            std::int64_t time = 0;
            if (__builtin_sub_overflow(reference.now_ns, *duration, &time)) {
                time = *duration < 0 ? ns_max : ns_min;
            }
            // Docker hands whole seconds to its daemon here.
            return to_ns(floor_seconds(time), 0);
        }
    }
    const bool local = value.find_first_of("zZ+") == std::string_view::npos &&
                       std::count(value.begin(), value.end(), '-') != 3;
    LayoutParser parser(choose_layout(value, local), value,
                        local ? reference.utc_offset_seconds : 0);
    if (parser.parse()) return to_ns(parser.time().seconds, parser.time().ns);

    std::string reason = parser.error();
    // Without a dash it was not meant as a date.
    if (value.find('-') == std::string_view::npos) {
        if (const std::optional<std::int64_t> time = parse_unix(value)) return *time;
        reason = "failed to parse value as time or duration: " + quote(value, true);
    }
    return fail({}, "invalid value for \"" + std::string(option) + "\": " + reason);
}

void append_docker_time(std::int64_t unix_ns, std::string& out) {
    const std::int64_t seconds = floor_seconds(unix_ns);
    const auto ns =
        static_cast<std::uint32_t>((unix_ns % ns_per_second + ns_per_second) % ns_per_second);
    const std::int64_t days = seconds / 86400 - (seconds % 86400 < 0 ? 1 : 0);
    const auto of_day = static_cast<std::uint32_t>(seconds - days * 86400);
    const std::chrono::year_month_day date{
        std::chrono::sys_days(std::chrono::days(static_cast<int>(days)))};

    std::array<char, 30> text{};
    char* at = text.data();
    const auto put = [&at](std::uint32_t value, int digits, char after) {
        for (int i = digits - 1; i >= 0; --i, value /= 10) {
            at[i] = static_cast<char>('0' + value % 10);
        }
        at += digits;
        *at++ = after;
    };
    // int64 nanoseconds reach from 1677 to 2262, so a year always has four digits.
    put(static_cast<std::uint32_t>(static_cast<int>(date.year())), 4, '-');
    put(static_cast<unsigned>(date.month()), 2, '-');
    put(static_cast<unsigned>(date.day()), 2, 'T');
    put(of_day / 3600, 2, ':');
    put(of_day / 60 % 60, 2, ':');
    put(of_day % 60, 2, '.');
    put(ns, 9, 'Z');
    out.append(text.data(), text.size());
}

std::string human_duration(std::int64_t ns) {
    const std::int64_t seconds = ns / ns_per_second;
    const std::int64_t minutes = seconds / 60;
    const std::int64_t hours = (seconds + 1800) / 3600;
    const auto count = [](std::int64_t number, const char* unit) {
        return std::to_string(number) + ' ' + unit;
    };
    if (seconds < 1) return "Less than a second";
    if (seconds == 1) return "1 second";
    if (seconds < 60) return count(seconds, "seconds");
    if (minutes == 1) return "About a minute";
    if (minutes < 60) return count(minutes, "minutes");
    if (hours == 1) return "About an hour";
    if (hours < 48) return count(hours, "hours");
    if (hours < 24L * 7 * 2) return count(hours / 24, "days");
    if (hours < 24L * 30 * 2) return count(hours / 24 / 7, "weeks");
    if (hours < 24L * 365 * 2) return count(hours / 24 / 30, "months");
    return count(seconds / 3600 / 24 / 365, "years");
}

}  // namespace twinlog
