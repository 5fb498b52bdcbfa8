// What a container's labels may ask for.
#include "store/log_limits.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

using namespace twinlog;

TEST_CASE("a container's labels make its log no larger than the host allows", "[log_limits]") {
    const LogLimits host{.max_size = 1000, .max_file = 2};
    std::vector<std::string> notes;
    // Bytes of all its files.
    const auto asked = [&](const std::string& size, const std::string& files, std::uint64_t most) {
        const LogOwner owner{.id = "abc",
                             .labels = {{"twinlog.max-size", size}, {"twinlog.max-file", files}}};
        const LogLimits limits = limits_of(owner, host, most, notes);
        return limits.max_size * limits.max_file;
    };
    SECTION("together they count") {
        CHECK(asked("500", "20", 10'000) == 10'000);
        CHECK(asked("5000", "2", 10'000) == 10'000);
        CHECK(notes.empty());
        CHECK(asked("500", "21", 10'000) == 2'000);
        REQUIRE(notes.size() == 1);
        CHECK(notes[0].find("21 files of 500 bytes") != std::string::npos);
        CHECK(notes[0].find("--max-by-label") != std::string::npos);
    }
    SECTION("more than a number can tell") {
        CHECK(asked("9000000000000000000", "1000", UINT64_MAX - 1) == 2'000);
        CHECK(notes.size() == 1);
    }
    SECTION("as large as without them, or smaller, they may always be") {
        CHECK(asked("500", "4", 0) == 2'000);
        CHECK(asked("10", "1", 0) == 10);
        CHECK(notes.empty());
    }
}
