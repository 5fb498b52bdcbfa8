// A disk that refuses is told once.
#include "daemon/store_trouble.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

using namespace twinlog;

TEST_CASE("what the disk refuses is told once, until it works again", "[store_trouble]") {
    constexpr std::uint64_t second = 1'000'000'000;
    const Error full{"/store/a", "cannot write", ENOSPC, {}};
    StoreTrouble trouble;
    CHECK_FALSE(trouble.is_over(second));
    const auto said = trouble.failed("web", full, second);
    REQUIRE(said);
    CHECK(said->starts_with("web: /store/a: cannot write: No space left on device — free space"));
    CHECK(said->find("--max-total") != std::string::npos);
    // Other files, other containers.
    for (std::uint64_t now = 2; now < 100; ++now) {
        CHECK_FALSE(trouble.failed("db", {"/store/b", "making it", ENOSPC, {}}, now * second));
        CHECK_FALSE(trouble.is_over(now * second));
    }
    // Another reason is other news, and keeps its own way out.
    const auto other =
        trouble.failed("db", {"/store/b", "making it", EIO, "repair it"}, 100 * second);
    REQUIRE(other);
    CHECK(other->find("Input/output error — repair it; choose another --store") !=
          std::string::npos);
    CHECK_FALSE(trouble.is_over(109 * second));
    CHECK(trouble.is_over(110 * second));
    CHECK_FALSE(trouble.is_over(111 * second));
    CHECK(trouble.failed("web", full, 112 * second));
}

TEST_CASE("who took a directory away is not told to choose another store", "[store_trouble]") {
    StoreTrouble trouble;
    const auto said = trouble.failed("web", {"/store/a", "making it", ENOENT, {}}, 1);
    REQUIRE(said);
    CHECK(said->find("--store") == std::string::npos);
    CHECK(said->find("No such file or directory; what is lost") != std::string::npos);
}

TEST_CASE("what is not the disk's is told each time", "[store_trouble]") {
    StoreTrouble trouble;
    for (int i = 0; i < 2; ++i)
        CHECK(trouble.failed("web", {"id", "no name", 0, {}}, 1) == "web: id: no name");
    CHECK_FALSE(trouble.is_over(100'000'000'000));
}
