// The /proc readers: forms of the files, and processes that are not there.
#include "container/process.h"

#include <catch2/catch.hpp>

#include "fake_host.h"

using namespace twinlog;
using test::FakeHost;
using test::FakeProcess;
using test::full_id;

TEST_CASE("stat is read whatever the process calls itself") {
    const std::string rest = " S 42 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 2200 23 24";
    for (const std::string comm : {"sh", "a) S 1 (b", ") (", "x\ny", "", "((("}) {
        INFO(comm);
        const auto stat = parse_process_stat("77 (" + comm + ")" + rest + "\n");
        REQUIRE(stat);
        CHECK(stat->comm == comm);
        CHECK(stat->state == 'S');
        CHECK(stat->ppid == 42);
        CHECK(stat->start_ticks == 2200);
    }
}

TEST_CASE("stat of another form is refused") {
    for (const char* text : {"", "1", "1 (x", "1 x)", ")1(", "1 (x)", "1 (x) S", "1 (x) S 1 2 3",
                             "1 (x) S a 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22"}) {
        INFO(text);
        CHECK_FALSE(parse_process_stat(text));
    }
}

TEST_CASE("cgroup paths of both versions") {
    const CgroupPaths paths = parse_cgroup_paths(
        "12:cpu,cpuacct:/docker/abc\n3:memory:/a:b\n1:name=systemd:/s\n0::/docker/abc\n");
    CHECK(paths.v2 == "/docker/abc");
    CHECK(paths.v1.at("cpu") == "/docker/abc");
    CHECK(paths.v1.at("cpuacct") == "/docker/abc");
    CHECK(paths.v1.at("memory") == "/a:b");
    CHECK(paths.v1.at("name=systemd") == "/s");
    CHECK(parse_cgroup_paths("0::/gone (deleted)\n").v2 == "/gone");
    CHECK(parse_cgroup_paths("").v2.empty());
    CHECK(parse_cgroup_paths("rubbish\n0:\n0::relative\n") == CgroupPaths{});
}

TEST_CASE("the naming cgroup is version 2's unless that is the root") {
    CHECK(naming_cgroup({"/a", {{"memory", "/b"}}}) == "/a");
    CHECK(naming_cgroup({"/", {{"memory", "/b"}, {"pids", "/c"}}}) == "/b");
    CHECK(naming_cgroup({"", {{"memory", "/"}, {"pids", "/c"}}}) == "/c");
    CHECK(naming_cgroup({"/", {{"cpu", "/b"}}}) == "/");
}

TEST_CASE("lists, user and namespace") {
    using List = std::vector<std::string>;
    CHECK(parse_nul_list(std::string_view("a\0\0b c\0", 7)) == List{"a", "", "b c"});
    CHECK(parse_nul_list("no end") == List{"no end"});
    CHECK(parse_nul_list("").empty());
    CHECK(parse_status_uid("Name:\tx\nUid:\t1000\t0\t0\t0\n") == 1000U);
    CHECK(parse_status_uid("Name:\tUid:\t0\n") == std::nullopt);
    CHECK(parse_namespace_link("pid:[4026531836]") == 4026531836U);
    CHECK(parse_namespace_link("pid:[]") == std::nullopt);
    CHECK(parse_namespace_link("pid:[1") == std::nullopt);
    CHECK(parse_namespace_link("") == std::nullopt);
}

TEST_CASE("ProcFs reads a process") {
    const FakeHost host;
    FakeProcess process;
    process.pid = 100;
    process.comm = "a) (b";
    process.ppid = 7;
    process.arguments = {"prog", "--x", "y"};
    process.cgroup = "/docker/x";
    process.uid = 1000;
    process.pidns = 55;
    host.start(process);
    const ProcFs proc(host.proc());
    CHECK(proc.stat(100)->ppid == 7);
    CHECK(proc.comm(100) == "a) (b");
    CHECK(proc.cmdline(100) == std::vector<std::string>{"prog", "--x", "y"});
    CHECK(proc.cgroups(100)->v2 == "/docker/x");
    CHECK(proc.uid(100) == 1000U);
    CHECK(proc.name_space(100, "pid") == 55U);
    CHECK(proc.own_name_space("pid") == 1U);
    CHECK(proc.pids() == std::vector<std::uint32_t>{100});
}

TEST_CASE("ProcFs: alive means this process, and no zombie") {
    const FakeHost host;
    FakeProcess process;
    process.pid = 100;
    process.start_ticks = 500;
    host.start(process);
    const ProcFs proc(host.proc());
    CHECK(proc.alive(100));
    CHECK(proc.alive(100, 500));
    CHECK_FALSE(proc.alive(100, 501));
    CHECK_FALSE(proc.alive(101));
    process.state = 'Z';
    host.start(process);
    CHECK_FALSE(proc.alive(100));
}

TEST_CASE("ProcFs: only root outside of containers speaks for the host") {
    const FakeHost host;
    const ProcFs proc(host.proc());
    FakeProcess process;
    process.pid = 100;
    host.start(process);
    CHECK(proc.speaks_for_host(100));
    FakeProcess other = process;
    other.uid = 1000;
    host.start(other);
    CHECK_FALSE(proc.speaks_for_host(100));
    other = process;
    other.pidns = 2;
    host.start(other);
    CHECK_FALSE(proc.speaks_for_host(100));
    other = process;
    other.cgroup = "/docker/" + full_id('a') + "/1/2/3/4/5/6";
    host.start(other);
    CHECK_FALSE(proc.speaks_for_host(100));
    CHECK_FALSE(proc.speaks_for_host(101));
}

TEST_CASE("ProcFs: a missing process is named in the error") {
    const FakeHost host;
    const ProcFs proc(host.proc());
    const auto stat = proc.stat(123);
    REQUIRE_FALSE(stat);
    CHECK(stat.error().subject == "pid 123");
    CHECK(stat.error().what == "no such process");
    CHECK_FALSE(stat.error().hint.empty());
    CHECK_FALSE(proc.name_space(123, "pid"));
    CHECK(ProcFs(host.proc() + "/nowhere").pids().empty());
}
