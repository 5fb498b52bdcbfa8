#include "container/freezer.h"

#include <catch2/catch.hpp>
#include <string>

using namespace twinlog;

TEST_CASE("freezer: mounts of a host with both versions of cgroups") {
    const std::string text =
        "22 1 0:20 / /proc rw,nosuid - proc proc rw\n"
        "30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
        "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 30 0:29 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n";
    CHECK(parse_freezer_mounts(text) ==
          FreezerMounts{"/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer"});
}

TEST_CASE("freezer: a part of a hierarchy that is mounted elsewhere is not the hierarchy") {
    const std::string text =
        "31 30 0:27 /docker/abc /mnt/group rw - cgroup2 cgroup2 rw\n"
        "32 30 0:27 / /sys/fs/cgroup rw shared:1 master:2 - cgroup2 cgroup2 rw\n";
    CHECK(parse_freezer_mounts(text) == FreezerMounts{"/sys/fs/cgroup", ""});
}

TEST_CASE("freezer: no mounts, and lines that are none") {
    CHECK(parse_freezer_mounts("") == FreezerMounts{});
    CHECK(parse_freezer_mounts("- \n - cgroup2\n1 2 3 - cgroup2 x rw\n\n") == FreezerMounts{});
}

TEST_CASE("freezer: only a group with the container's id is the container's") {
    CHECK(group_of_container("/docker/abc", "abc") == "/docker/abc");
    CHECK(group_of_container("/docker/abc/init.scope", "abc") == "/docker/abc");
    CHECK(group_of_container("/system.slice/docker-abc.scope", "abc") ==
          "/system.slice/docker-abc.scope");
    CHECK(group_of_container("/docker/abc/docker/def", "def") == "/docker/abc/docker/def");
    CHECK(group_of_container("/user.slice/session-1.scope", "pidns-4026532000").empty());
    CHECK(group_of_container("/", "abc").empty());
    CHECK(group_of_container("/docker/abc", "").empty());
}
