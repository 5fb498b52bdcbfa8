// Sizes as Docker reads and prints them.
#include "base/byte_size.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

using namespace twinlog;

TEST_CASE("sizes are read as Docker reads them", "[byte_size]") {
    struct Case {
        std::string text;
        std::uint64_t decimal;
        std::uint64_t binary;
    };
    const std::vector<Case> cases = {
        {"0", 0, 0},
        {"32", 32, 32},
        {"32b", 32, 32},
        {"8k", 8000, 8192},
        {"8K", 8000, 8192},
        {"8kb", 8000, 8192},
        {"8KiB", 8000, 8192},
        {"8 k", 8000, 8192},
        {"1.5k", 1500, 1536},
        {"20m", 20'000'000, 20'971'520},
        {"20MB", 20'000'000, 20'971'520},
        {"64m", 64'000'000, 67'108'864},
        {"1g", 1'000'000'000, 1'073'741'824},
        {"2T", 2'000'000'000'000, 2'199'023'255'552},
        {"1p", 1'000'000'000'000'000, 1'125'899'906'842'624},
        {"0.5", 0, 0},
    };
    for (const Case& c : cases) {
        INFO(c.text);
        REQUIRE(parse_decimal_size(c.text));
        CHECK(*parse_decimal_size(c.text) == c.decimal);
        CHECK(*parse_binary_size(c.text) == c.binary);
    }
}

TEST_CASE("what is no size is refused in Docker's words", "[byte_size]") {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"", "invalid size: ''"},
        {"abc", "invalid size: 'abc'"},
        {"-1", "invalid size: '-1'"},
        {"k", "invalid size: 'k'"},
        {"1k5", "invalid size: '1k5'"},
        {"1..5k", "invalid size: '1..5k'"},
        {"10000000p", "invalid size: '10000000p'"},
        {"1x", "invalid suffix: 'x'"},
        {"1kx", "invalid suffix: 'kx'"},
        {"1bb", "invalid suffix: 'bb'"},
        {"1kibs", "invalid suffix: 'kibs'"},
    };
    for (const auto& [text, message] : cases) {
        INFO(text);
        REQUIRE_FALSE(parse_decimal_size(text));
        CHECK(parse_decimal_size(text).error().message() == message);
        CHECK_FALSE(parse_binary_size(text));
    }
}

TEST_CASE("sizes are printed with three digits", "[byte_size]") {
    const std::vector<std::pair<std::uint64_t, std::string>> cases = {
        {0, "0B"},
        {999, "999B"},
        {1000, "1kB"},
        {1234, "1.23kB"},
        {999'400, "999kB"},
        {999'600, "1MB"},
        {1'230'000, "1.23MB"},
        {20'971'520, "21MB"},
        {18'446'744'073'709'551'615ULL, "18.4EB"},
    };
    for (const auto& [bytes, text] : cases) CHECK(format_size(bytes) == text);
}

TEST_CASE("numbers are grouped", "[byte_size]") {
    CHECK(format_grouped(0) == "0");
    CHECK(format_grouped(999) == "999");
    CHECK(format_grouped(1234) == "1,234");
    CHECK(format_grouped(1'234'567) == "1,234,567");
}
