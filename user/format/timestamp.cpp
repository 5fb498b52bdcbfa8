// Times of log lines, without locale and without allocation: there are millions of them.
#include "format/timestamp.h"

#include <chrono>

#include "base/docker_time.h"

namespace twinlog {

namespace {

constexpr std::int64_t ns_per_second = 1'000'000'000;

// Takes decimal digits from the front of a text.
class Digits {
 public:
    explicit Digits(std::string_view text) : rest_(text) {}

    bool number(int digits, int most, int& value) {
        value = 0;
        for (int i = 0; i < digits; ++i) {
            if (!is_digit()) return false;
            value = value * 10 + (rest_.front() - '0');
            rest_.remove_prefix(1);
        }
        return value <= most;
    }

    bool character(char wanted) {
        if (!rest_.starts_with(wanted)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    // One digit at least; those beyond ns are passed over.
    bool fraction(std::int64_t& ns) {
        if (!is_digit()) return false;
        std::int64_t unit = ns_per_second / 10;
        for (; is_digit(); rest_.remove_prefix(1), unit /= 10) ns += (rest_.front() - '0') * unit;
        return true;
    }

    [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
    [[nodiscard]] bool is_digit() const {
        return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9';
    }

    std::string_view rest_;
};

}  // namespace

void append_rfc3339_nano(std::int64_t unix_ns, std::string& out) {
    append_docker_time(unix_ns, out);
    out.pop_back();
    while (out.back() == '0') out.pop_back();
    // The seconds may end with a zero, too, but in front of them stands the point.
    if (out.back() == '.') out.pop_back();
    out += 'Z';
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
    Digits in(text);
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    const bool read = in.number(4, 9999, year) && in.character('-') && in.number(2, 12, month) &&
                      in.character('-') && in.number(2, 31, day) &&
                      (in.character('T') || in.character('t') || in.character(' ')) &&
                      in.number(2, 23, hour) && in.character(':') && in.number(2, 59, minute) &&
                      in.character(':') && in.number(2, 60, second);
    if (!read) return std::nullopt;
    std::int64_t ns = 0;
    if ((in.character('.') || in.character(',')) && !in.fraction(ns)) return std::nullopt;
    int offset = 0;
    if (!in.character('Z') && !in.character('z')) {
        int hours = 0;
        int minutes = 0;
        const bool west = in.character('-');
        if (!west && !in.character('+')) return std::nullopt;
        if (!in.number(2, 23, hours)) return std::nullopt;
        in.character(':');
        if (!in.number(2, 59, minutes)) return std::nullopt;
        offset = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    }
    const std::chrono::year_month_day date(std::chrono::year(year),
                                           std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day)));
    if (!in.done() || !date.ok()) return std::nullopt;
    const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
    const std::int64_t seconds = days * 86400 + (hour * 3600 + minute * 60 + second - offset);
    return to_unix_ns(seconds, ns);
}

}  // namespace twinlog
