// conmon's arguments and podman's storage.
#include "container/podman_metadata.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "container/bundle.h"
#include "fake_host.h"

using namespace twinlog;
using test::FakeHost;
using test::FakeProcess;
using test::full_id;

namespace {

const std::string id = full_id('c');
const std::string bundle = "/storage/overlay-containers/" + id + "/userdata";

FakeProcess conmon(const std::string& name) {
    FakeProcess process;
    process.pid = 50;
    process.comm = "conmon";
    process.arguments = {"/usr/bin/conmon",
                         "--api-version",
                         "1",
                         "-c",
                         id,
                         "-u",
                         id,
                         "-r",
                         "/usr/bin/runc",
                         "-b",
                         bundle,
                         "-p",
                         "/run/pidfile",
                         "-n",
                         name,
                         "--exit-dir",
                         "/run/exits",
                         "-l",
                         "k8s-file:/x/ctr.log",
                         "--exit-command",
                         "/usr/bin/podman",
                         "--exit-command-arg",
                         "-n",
                         "--exit-command-arg",
                         "wrong"};
    process.uid = ::getuid();
    return process;
}

FakeProcess init() {
    FakeProcess process;
    process.pid = 60;
    process.ppid = 50;
    return process;
}

}  // namespace

TEST_CASE("conmon's arguments") {
    using Arguments = std::vector<std::string>;
    const auto found = parse_conmon_arguments(
        Arguments{"conmon", "-s", "-c", "abc", "-n", "web", "--bundle=/b", "-t", "-l", "journald"});
    REQUIRE(found);
    CHECK(*found == ConmonArguments{"abc", "web", "/b", "journald", true});
    CHECK(parse_conmon_arguments(Arguments{"conmon", "--cid", "x", "-l", "/p"})->log_driver ==
          "k8s-file");
    CHECK(parse_conmon_arguments(Arguments{"conmon", "--cid", "x", "-l", "none:"})->log_driver ==
          "none");
    CHECK(parse_conmon_arguments(Arguments{"conmon", "--cid", "x"})->log_driver.empty());
    // A value is no option.
    const auto tricky = parse_conmon_arguments(
        Arguments{"conmon", "--exit-command-arg", "-t", "--log-tag", "-e", "-c", "x"});
    REQUIRE(tricky);
    CHECK_FALSE(tricky->tty);
    CHECK_FALSE(parse_conmon_arguments(Arguments{"conmon", "-c", "x", "-e"}));
    CHECK_FALSE(parse_conmon_arguments(Arguments{"conmon", "-c", "../x"}));
    CHECK_FALSE(parse_conmon_arguments(Arguments{"conmon", "-c"}));
    CHECK_FALSE(parse_conmon_arguments({}));
}

TEST_CASE("podman: the command line is enough") {
    const FakeHost host;
    host.start(conmon("web"));
    host.start(init());
    PodmanMetadata podman{ProcFs(host.proc())};
    const auto metadata = podman.look_up({id, 60});
    REQUIRE(metadata);
    CHECK(metadata->name == "web");
    CHECK(metadata->log_driver == "k8s-file");
    CHECK(metadata->runtime == "podman");
    CHECK_FALSE(metadata->tty);
    CHECK_FALSE(podman.look_up({full_id('d'), 60}));
    CHECK_FALSE(podman.look_up({id, 0}));
    CHECK_FALSE(podman.look_up({id, 61}));
    CHECK(podman.resolve("web") == std::vector<std::string>{id});
    CHECK(podman.resolve("ccc") == std::vector<std::string>{id});
    CHECK(podman.resolve("x").empty());
}

TEST_CASE("podman: the storage knows the present name and the image") {
    const FakeHost host;
    host.start(conmon("web"));
    host.start(init());
    host.write(bundle + "/config.json",
               R"({"process":{"terminal":true},"annotations":{"io.container.manager":"libpod"}})");
    host.write("/storage/overlay-containers/containers.json",
               R"([{"id":"x"},7,{"id":")" + id +
                   R"(","names":["renamed"],"created":"2026-11-24T00:03:50Z",
                   "metadata":"{\"image-name\":\"docker.io/library/busybox:latest\"}"}])");
    PodmanMetadata podman{ProcFs(host.proc())};
    const auto metadata = podman.look_up({id, 60});
    REQUIRE(metadata);
    CHECK(metadata->name == "renamed");
    CHECK(metadata->image == "docker.io/library/busybox:latest");
    CHECK(metadata->created_ns == 1795478630000000000);
    CHECK(metadata->tty);
}

TEST_CASE("podman: the storage's directory of a container is there while it exists") {
    const FakeHost host;
    host.start(conmon("web"));
    host.start(init());
    host.write(bundle + "/config.json", "{}");
    host.write("/storage/overlay-containers/other/userdata/config.json", "{}");
    PodmanMetadata podman{ProcFs(host.proc()), host.root()};
    const auto metadata = podman.look_up({id, 60});
    REQUIRE(metadata);
    CHECK(metadata->home == host.root() + "/storage/overlay-containers/" + id);
    CHECK(presence_of(metadata->home) == Presence::there);
    std::filesystem::remove_all(metadata->home);
    CHECK(presence_of(metadata->home) == Presence::removed);
    std::filesystem::remove_all(host.root() + "/storage/overlay-containers");
    CHECK(presence_of(metadata->home) == Presence::unknown);
    // CRI-O's are in memory.
    host.write(bundle + "/config.json",
               R"({"annotations":{"io.kubernetes.cri-o.ContainerType":"container"}})");
    CHECK(podman.look_up({id, 60})->home.empty());
}

TEST_CASE("podman: another program as parent says nothing") {
    const FakeHost host;
    FakeProcess parent = conmon("web");
    parent.comm = "bash";
    host.start(parent);
    host.start(init());
    PodmanMetadata podman{ProcFs(host.proc())};
    CHECK_FALSE(podman.look_up({id, 60}));
}

TEST_CASE("podman storage of a wrong form") {
    CHECK_FALSE(parse_podman_storage("", id));
    CHECK_FALSE(parse_podman_storage("{}", id));
    CHECK_FALSE(parse_podman_storage("[]", id));
    const auto metadata = parse_podman_storage(
        R"([{"id":")" + id + R"(","names":"x","created":1,"metadata":"no json"}])", id);
    REQUIRE(metadata);
    CHECK(*metadata == Metadata{});
    CHECK(parse_podman_storage(R"([{"id":"a","names":[5]}])", "a")->name.empty());
}

TEST_CASE("a bundle of CRI-O") {
    const auto metadata = parse_bundle(
        R"({"annotations":{"io.kubernetes.cri-o.ContainerType":"container",
            "io.kubernetes.container.name":"app","io.kubernetes.pod.name":"web-0",
            "io.kubernetes.pod.namespace":"prod","io.kubernetes.cri-o.ImageName":"img:1",
            "io.kubernetes.cri-o.Labels":"{\"x\":\"1\"}","bad":7}})");
    REQUIRE(metadata);
    CHECK(metadata->runtime == "cri-o");
    CHECK(metadata->name == "web-0/app");
    CHECK(metadata->image == "img:1");
    CHECK(metadata->log_driver == "cri");
    CHECK(metadata->labels.at("x") == "1");
    CHECK(metadata->labels.at("io.kubernetes.pod.namespace") == "prod");
    CHECK(*parse_bundle("{}") == Metadata{});
    CHECK_FALSE(parse_bundle("[1]"));
}
