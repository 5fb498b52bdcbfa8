// --since and --until: every accepted and every refused form, with Docker's words.
#include "base/docker_time.h"

#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace twinlog;

namespace {

constexpr std::int64_t second = 1'000'000'000;
// 2026-11-24T00:00:00Z
constexpr std::int64_t day = 1'795'478'400;
// 2026-11-24T08:00:00.5Z, two hours east of Greenwich.
constexpr TimeReference reference = {(day + 8 * 3600) * second + second / 2, 2 * 3600};

}  // namespace

TEST_CASE("accepted times", "[docker_time]") {
    const std::int64_t now = day + 8 * 3600;
    const std::int64_t zone = 2 * 3600;
    const std::vector<std::pair<std::string, std::int64_t>> cases = {
        // Spans; in whole seconds, as Docker hands them on.
        {"10m", (now - 600) * second},
        {"1h30m", (now - 5400) * second},
        {"-1h", (now + 3600) * second},
        {"+10s", (now - 10) * second},
        {"1.5h", (now - 5400) * second},
        {".5h", (now - 1800) * second},
        {"1500ms", (now - 1) * second},
        {"1us", now * second},
        {"1\u00b5s", now * second},
        {"1m0.5s", (now - 60) * second},
        // Unix time
        {"0", 0},
        {"1795478400", day * second},
        {"1795478400.5", day * second + 500'000'000},
        {"1795478400.000000001", day * second + 1},
        {"1795478400.0000000019", day * second + 1},
        {"99999999999", std::numeric_limits<std::int64_t>::max()},
        // Local zone
        {"2026-11-24", (day - zone) * second},
        {"2026-11-24T00", (day - zone) * second},
        {"2026-11-24T7", (day + 7 * 3600 - zone) * second},
        {"2026-11-24T00:03", (day + 180 - zone) * second},
        {"2026-11-24T00:03:49", (day + 229 - zone) * second},
        {"2026-11-24T00:03:49.25", (day + 229 - zone) * second + 250'000'000},
        {"2026-11-24T00:03:49,25", (day + 229 - zone) * second + 250'000'000},
        // Zone given
        {"2026-11-24Z", day * second},
        {"2026-11-24+01:00", (day - 3600) * second},
        {"2026-11-24-01:00", (day + 3600) * second},
        {"2026-11-24T00Z", day * second},
        {"2026-11-24T00+01:00", (day - 3600) * second},
        {"2026-11-24T00:03Z", (day + 180) * second},
        {"2026-11-24T00:03-01:30", (day + 180 + 5400) * second},
        {"2026-11-24T00:03:49Z", (day + 229) * second},
        {"2026-11-24T00:03:49+01:00", (day + 229 - 3600) * second},
        {"2026-11-24T00:03:49.050969788Z", (day + 229) * second + 50'969'788},
        {"2026-11-24T00:03:49.0509697889999Z", (day + 229) * second + 50'969'788},
        {"1970-01-01T00:00:00.5Z", 500'000'000},
        {"1969-12-31T23:59:59.5Z", -500'000'000},
        {"2024-02-29Z", 1'709'164'800 * second},
    };
    for (const auto& [value, expected] : cases) {
        INFO(value);
        const auto time = parse_docker_time("since", value, reference);
        REQUIRE(time);
        REQUIRE(time->has_value());
        CHECK(**time == expected);
    }
}

TEST_CASE("an empty time is unset", "[docker_time]") {
    const auto time = parse_docker_time("since", "", reference);
    REQUIRE(time);
    CHECK_FALSE(time->has_value());
}

TEST_CASE("refused times", "[docker_time]") {
    const auto neither = [](const std::string& value) {
        return "failed to parse value as time or duration: \"" + value + "\"";
    };
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"foo", neither("foo")},
        {"1d", neither("1d")},
        {"1h30", neither("1h30")},
        {"yesterday", neither("yesterday")},
        {"12:00", neither("12:00")},
        {"1.", neither("1.")},
        {"1.x", neither("1.x")},
        {"\x1b", neither("\\x1b")},
        {"\xc2\x9b", neither("\\u009b")},
        {"\xc2\x9b", neither("\\u009b")},
        {"2026-11-24 00:03", R"(parsing time "2026-11-24 00:03": extra text: " 00:03")"},
        {"2026-1-2", R"(parsing time "2026-1-2" as "2006-01-02": cannot parse "1-2" as "01")"},
        {"-5", R"(parsing time "-5" as "2006-01-02": cannot parse "-5" as "2006")"},
        {"2026-13-01", R"(parsing time "2026-13-01": month out of range)"},
        {"2026-02-30", R"(parsing time "2026-02-30": day out of range)"},
        {"2026-11-24T24", R"(parsing time "2026-11-24T24": hour out of range)"},
        {"2026-11-24T00:60", R"(parsing time "2026-11-24T00:60": minute out of range)"},
        {"2026-11-24T00:00:60", R"(parsing time "2026-11-24T00:00:60": second out of range)"},
        {"2026-11-24T",
         R"(parsing time "2026-11-24T" as "2006-01-02T15": cannot parse "" as "15")"},
        {"2026-11-24T00:03:49z",
         R"(parsing time "2026-11-24T00:03:49z" as "2006-01-02T15:04:05Z07:00": cannot parse "z" as "Z07:00")"},
        {"2026-11-24T00:03:49+0100",
         R"(parsing time "2026-11-24T00:03:49+0100" as "2006-01-02T15:04Z07:00": cannot parse ":49+0100" as "Z07:00")"},
    };
    for (const auto& [value, reason] : cases) {
        INFO(value);
        for (const std::string option : {"since", "until"}) {
            const auto time = parse_docker_time(option, value, reference);
            REQUIRE_FALSE(time);
            CHECK(time.error().message() == "invalid value for \"" + option + "\": " + reason);
        }
    }
}

TEST_CASE("times are printed with nine digits in UTC", "[docker_time]") {
    const std::vector<std::pair<std::int64_t, std::string>> cases = {
        {0, "1970-01-01T00:00:00.000000000Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {(day + 229) * second + 50'969'788, "2026-11-24T00:03:49.050969788Z"},
        {std::numeric_limits<std::int64_t>::max(), "2262-04-11T23:47:16.854775807Z"},
        {std::numeric_limits<std::int64_t>::min(), "1677-09-21T00:12:43.145224192Z"},
    };
    for (const auto& [time, expected] : cases) {
        std::string text = "> ";
        append_docker_time(time, text);
        CHECK(text == "> " + expected);
        CHECK(parse_docker_time("since", expected, {}).value() == time);
    }
}

TEST_CASE("spans are put in Docker's words", "[docker_time]") {
    const std::vector<std::pair<std::int64_t, std::string>> cases = {
        {-5, "Less than a second"}, {0, "Less than a second"}, {1, "1 second"},
        {59, "59 seconds"},         {60, "About a minute"},    {180, "3 minutes"},
        {3600, "About an hour"},    {5400, "2 hours"},         {47 * 3600, "47 hours"},
        {48 * 3600, "2 days"},      {15 * 86400, "2 weeks"},   {90 * 86400, "3 months"},
        {800 * 86400, "2 years"},
    };
    for (const auto& [seconds, text] : cases) CHECK(human_duration(seconds * second) == text);
}
