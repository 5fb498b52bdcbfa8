// containerd's shims and their bundles.
#include "container/containerd_metadata.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "fake_host.h"

using namespace twinlog;
using test::FakeHost;
using test::FakeProcess;
using test::full_id;

namespace {

const std::string tasks = "/run/containerd/io.containerd.runtime.v2.task/";

FakeProcess shim(const std::string& name_space, const std::string& id) {
    FakeProcess process;
    process.pid = 50;
    process.comm = "containerd-shim";
    process.arguments = {
        "/usr/bin/containerd-shim-runc-v2", "-namespace", name_space, "-id", id, "-address",
        "/run/containerd/containerd.sock"};
    process.cwd = tasks + name_space + "/" + id;
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

TEST_CASE("a shim's arguments") {
    CHECK(parse_shim_arguments({"s", "-namespace", "k8s.io", "-id", "x"}) ==
          ShimArguments{"k8s.io", "x"});
    CHECK(parse_shim_arguments({"s", "--id=x", "-address", "-id"}) == ShimArguments{"", "x"});
    CHECK_FALSE(parse_shim_arguments({"s", "-id", "../x"}));
    CHECK_FALSE(parse_shim_arguments({"s"}));
    CHECK_FALSE(parse_shim_arguments({}));
}

TEST_CASE("containerd: a pod's container is found beside its sandbox") {
    const FakeHost host;
    const std::string sandbox = full_id('5');
    const std::string container = full_id('7');
    host.start(shim("k8s.io", sandbox));
    host.start(init());
    host.write(tasks + "k8s.io/" + sandbox + "/config.json",
               R"({"annotations":{"io.kubernetes.cri.container-type":"sandbox",
                   "io.kubernetes.cri.sandbox-name":"web-0"}})");
    host.write(tasks + "k8s.io/" + container + "/config.json",
               R"({"process":{"terminal":true},"annotations":{
                   "io.kubernetes.cri.container-type":"container",
                   "io.kubernetes.cri.container-name":"app",
                   "io.kubernetes.cri.image-name":"img:1",
                   "io.kubernetes.cri.sandbox-name":"web-0",
                   "io.kubernetes.cri.sandbox-namespace":"prod"}})");
    ContainerdMetadata containerd{ProcFs(host.proc())};
    const auto metadata = containerd.look_up({container, 60});
    REQUIRE(metadata);
    CHECK(metadata->name == "web-0/app");
    CHECK(metadata->image == "img:1");
    CHECK(metadata->runtime == "containerd");
    CHECK(metadata->log_driver == "cri");
    CHECK(metadata->tty);
    CHECK(metadata->labels.at("io.kubernetes.pod.namespace") == "prod");
    CHECK(containerd.look_up({sandbox, 60})->name == "web-0");
    // Known to be containerd's, and no more.
    CHECK(containerd.look_up({full_id('9'), 60})->name.empty());
    CHECK(containerd.resolve("web-0/app") == std::vector<std::string>{container});
    CHECK(containerd.resolve("7") == std::vector<std::string>{container});
}

TEST_CASE("containerd: ctr's ids are names") {
    const FakeHost host;
    host.start(shim("default", "mine"));
    host.start(init());
    host.write(tasks + "default/mine/config.json", R"({"process":{}})");
    ContainerdMetadata containerd{ProcFs(host.proc())};
    CHECK(containerd.look_up({"mine", 60})->name == "mine");
    CHECK(containerd.look_up({"pidns-5", 60})->name == "mine");
    CHECK(containerd.resolve("mine") == std::vector<std::string>{"mine"});
    CHECK_FALSE(containerd.look_up({"mine", 0}));
    CHECK_FALSE(containerd.look_up({"mine", 50}));
}

TEST_CASE("containerd: Docker's containers are left to Docker") {
    const FakeHost host;
    host.start(shim("moby", full_id('a')));
    host.start(init());
    host.write(tasks + "moby/" + full_id('a') + "/config.json", R"({"process":{}})");
    ContainerdMetadata containerd{ProcFs(host.proc())};
    const auto metadata = containerd.look_up({full_id('a'), 60});
    REQUIRE(metadata);
    CHECK(metadata->runtime == "docker");
    CHECK(metadata->name.empty());
    CHECK(containerd.resolve("a").empty());
}
