// Containers of a store by what a user calls them.
#include "read/container_catalog.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "store/layout.h"
#include "temp_directory.h"

using namespace twinlog;

TEST_CASE("a container whose container.json is damaged is found by its id alone") {
    const TempDirectory directory;
    // Its path holds what others are asked for.
    const std::string store = directory / "web/store";
    for (const char* const id : {"abc123", "def456"}) {
        std::filesystem::create_directories(layout::container_directory(store, id));
    }
    put_file(layout::container_directory(store, "abc123") + "/container.json", "{");
    put_file(layout::container_directory(store, "def456") + "/container.json",
             R"({"id": "def456", "name": "good"})");
    const auto catalog = read_catalog(store);
    REQUIRE(catalog);
    CHECK(find_container(*catalog, "good"));
    for (const char* const damaged : {"abc123", "abc"}) {
        const auto found = find_container(*catalog, damaged);
        REQUIRE_FALSE(found);
        CHECK(found.error().message().find("it is damaged") != std::string::npos);
    }
    for (const char* const unknown : {"web", "containers", "container.json", "store", "bc123"}) {
        const auto found = find_container(*catalog, unknown);
        REQUIRE_FALSE(found);
        CHECK(found.error().message().find("No such container") != std::string::npos);
    }
}

TEST_CASE("a log whose container.json is gone is found by its id") {
    const TempDirectory directory;
    const std::string store = directory / "store";
    for (const char* const id : {"abc123", "empty"}) {
        std::filesystem::create_directories(layout::container_directory(store, id));
    }
    put_file(layout::container_directory(store, "abc123") + "/container-cached.log.1.gz", "");
    const auto catalog = read_catalog(store);
    REQUIRE(catalog);
    REQUIRE(catalog->containers.size() == 1);
    CHECK(catalog->containers.front().info.name == "abc123");
    CHECK(catalog->containers.front().info.state == ContainerState::ended);
    CHECK(find_container(*catalog, "abc"));
    CHECK_FALSE(find_container(*catalog, "empty"));
}

TEST_CASE("the way out of a damaged container.json leaves its log in reach") {
    const auto info = container_info_from_json("{", "container.json");
    REQUIRE_FALSE(info);
    CHECK(info.error().hint.find("twinlog verify --repair") != std::string::npos);
    CHECK(info.error().hint.find("remove") == std::string::npos);
}
