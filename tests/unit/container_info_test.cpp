// container.json: what is saved is loaded again, and whatever else is there is refused with its
// name.
#include "store/container_info.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <limits>
#include <string>

#include "temp_directory.h"

using namespace twinlog;

namespace {

ContainerInfo full_info() {
    ContainerInfo info;
    info.id = std::string(64, 'a');
    info.name = "web";
    info.image = "nginx:1.27";
    info.runtime = "docker";
    info.log_driver = "none";
    info.home = "/var/lib/docker/containers/a";
    info.cgroup = "system.slice/docker-a.scope";
    info.labels = {{"com.example/a", "1"}, {"empty", ""}};
    info.tty = true;
    info.owner = 1000;
    info.init_pid = 4711;
    info.run = 3;
    info.from_start = true;
    info.created_ns = 1;
    info.started_ns = 2;
    info.captured_since_ns = 3;
    info.ended_ns = std::numeric_limits<std::int64_t>::max();
    info.set_back_ns = 4;
    info.state = ContainerState::ended;
    info.streams[0] = {"pipe", std::numeric_limits<std::uint64_t>::max(), 5, 6, 7};
    info.streams[0].end = {3, 9, true};
    info.streams[1] = {"tty", 8, 9, 10, 11};
    return info;
}

}  // namespace

TEST_CASE("container info: saved and loaded", "[container_info]") {
    for (const ContainerState state : {ContainerState::running, ContainerState::ended}) {
        ContainerInfo info = full_info();
        info.state = state;
        const auto loaded = container_info_from_json(to_json(info), "container.json");
        REQUIRE(loaded);
        CHECK(*loaded == info);
    }
    ContainerInfo smallest;
    smallest.id = "x";
    CHECK(container_info_from_json(to_json(smallest), "container.json").value() == smallest);
}

TEST_CASE("container info: text that is not UTF-8 or full of control bytes", "[container_info]") {
    ContainerInfo info = full_info();
    info.name = "a\xff\xfe";
    info.labels = {{"k\x80", "v\xc3"}, {"esc", "\x1b[2J\n\"\\"}};
    const auto loaded = container_info_from_json(to_json(info), "container.json");
    REQUIRE(loaded);
    CHECK(loaded->name == "a\xef\xbf\xbd\xef\xbf\xbd");
    CHECK(loaded->labels.at("esc") == "\x1b[2J\n\"\\");
    CHECK(loaded->labels.size() == 2);
}

TEST_CASE("container info: members of other versions", "[container_info]") {
    const auto loaded =
        container_info_from_json(R"({"id": "x", "later": [1], "streams": {}})", "s");
    REQUIRE(loaded);
    CHECK(loaded->id == "x");
    CHECK(loaded->run == 0);
}

TEST_CASE("container info: what is wrong is refused with the file's name", "[container_info]") {
    const char* const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        R"({"id": 5})",
        R"({"id": ""})",
        R"({"id": "x", "name": 5})",
        R"({"id": "x", "name": null})",
        R"({"id": "x", "labels": ["a"]})",
        R"({"id": "x", "labels": {"a": 1}})",
        R"({"id": "x", "tty": "yes"})",
        R"({"id": "x", "run": "1"})",
        R"({"id": "x", "run": -1})",
        R"({"id": "x", "run": 4294967296})",
        R"({"id": "x", "run": 1.5})",
        R"({"id": "x", "started_ns": 1e300})",
        R"({"id": "x", "started_ns": 9223372036854775808})",
        R"({"id": "x", "streams": []})",
        R"({"id": "x", "streams": {"stdout": 1}})",
        R"({"id": "x", "streams": {"stderr": {"bytes": -1}}})",
        "{\"id\": \"\xff\"}",
    };
    for (const char* const text : texts) {
        INFO(text);
        const auto loaded = container_info_from_json(text, "dir/container.json");
        REQUIRE_FALSE(loaded);
        CHECK(loaded.error().subject == "dir/container.json");
        CHECK_FALSE(loaded.error().what.empty());
    }
    const std::string deep = std::string(100000, '[');
    CHECK_FALSE(container_info_from_json(deep, "s"));
}

TEST_CASE("container info: read from a container's directory", "[container_info]") {
    const TempDirectory directory;
    const auto missing = read_container_info(directory.path());
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ENOENT);
    put_file(directory / "container.json", to_json(full_info()));
    CHECK(read_container_info(directory.path()).value() == full_info());
    put_file(directory / "container.json", "garbage");
    const auto damaged = read_container_info(directory.path());
    REQUIRE_FALSE(damaged);
    CHECK(damaged.error().subject == directory / "container.json");
    CHECK(damaged.error().code == 0);
}

TEST_CASE("container info: what was heard of it last", "[container_info]") {
    ContainerInfo info;
    CHECK(last_known_ns(info) == 0);
    info.started_ns = 5;
    CHECK(last_known_ns(info) == 5);
    info.captured_since_ns = 7;
    CHECK(last_known_ns(info) == 7);
    info.streams[1].last_write_ns = 9;
    info.ended_ns = 3;  // of the run before
    CHECK(last_known_ns(info) == 9);
}
