// Which containers are meant by what was asked for.
#include "daemon/selection.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

using namespace twinlog;

namespace {

ContainerInfo container(const std::string& id, const std::string& name) {
    ContainerInfo info;
    info.id = id;
    info.name = name;
    return info;
}

}  // namespace

TEST_CASE("a beginning of an id means all containers that have it", "[selection]") {
    const Selection selection{.containers = {"ab", "web"}, .pids = {}};
    CHECK(selection.wants({}, container("ab1", "x")));
    CHECK(selection.wants({}, container("ab2", "y")));
    CHECK(selection.wants({}, container("c", "web")));
    CHECK_FALSE(selection.wants({}, container("c", "web2")));
}

TEST_CASE("a beginning that two ids have is told once", "[selection]") {
    const Selection selection{.containers = {"ab", "web", "abcd"}, .pids = {}};
    SharedPrefixes prefixes;
    CHECK(prefixes.second_of(selection, container("ab1", "x")) == std::nullopt);
    // It starts again.
    CHECK(prefixes.second_of(selection, container("ab1", "x")) == std::nullopt);
    // A name, or a whole id, is nobody else's.
    CHECK(prefixes.second_of(selection, container("c", "web")) == std::nullopt);
    CHECK(prefixes.second_of(selection, container("d", "web")) == std::nullopt);
    CHECK(prefixes.second_of(selection, container("ab2", "y")) == "ab");
    CHECK(prefixes.second_of(selection, container("ab3", "z")) == std::nullopt);
    CHECK(prefixes.second_of(selection, container("ab1", "x")) == std::nullopt);
    // Each has its own.
    CHECK(prefixes.second_of(selection, container("abcd1", "x")) == std::nullopt);
    CHECK(prefixes.second_of(selection, container("abcd2", "x")) == "abcd");
}
