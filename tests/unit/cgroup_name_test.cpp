// Container identity from cgroup names, hostile ones included.
#include "container/cgroup_name.h"

#include <catch2/catch.hpp>

#include "fake_host.h"

using namespace twinlog;
using test::full_id;

namespace {

using Identity = std::optional<ContainerIdentity>;

Identity by_path(const std::string& path, std::uint32_t ns_pid = 1, std::uint32_t level = 1,
                 std::uint64_t pidns = 4026532000) {
    return identify(cgroup_levels(path), ns_pid, level, pidns);
}

Identity named(const std::string& id, const std::string& runtime) {
    return ContainerIdentity{id, runtime};
}

}  // namespace

TEST_CASE("cgroup_levels gives the leaf first") {
    CHECK(cgroup_levels("/").size() == 1);
    CHECK(cgroup_levels("/").front().empty());
    CHECK(cgroup_levels("").empty());
    CHECK(cgroup_levels("/a/b/c/d/e") == std::vector<std::string_view>{"e", "d", "c", "b"});
    CHECK(cgroup_levels("/a/b") == std::vector<std::string_view>{"b", "a"});
}

TEST_CASE("names with an id tell id and runtime") {
    const std::string id = full_id('a');
    CHECK(by_path("/docker/" + id) == named(id, "docker"));
    CHECK(by_path("/system.slice/docker-" + id + ".scope") == named(id, "docker"));
    CHECK(by_path("/docker/" + id + "/init.scope") == named(id, "docker"));
    CHECK(by_path("/libpod_parent/libpod-" + id) == named(id, "podman"));
    CHECK(by_path("/machine.slice/libpod-" + id + ".scope") == named(id, "podman"));
    CHECK(by_path("/machine.slice/libpod-" + id + ".scope/container") == named(id, "podman"));
    CHECK(by_path("/web.service/libpod-payload-" + id) == named(id, "podman"));
    CHECK(by_path("/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope") ==
          named(id, "containerd"));
    CHECK(by_path("/x/kubepods-pod1.slice:cri-containerd:" + id) == named(id, "containerd"));
    CHECK(by_path("/kubepods.slice/crio-" + id + ".scope") == named(id, "cri-o"));
    CHECK(by_path("/kubepods/pod1/" + id) == named(id, ""));
}

TEST_CASE("the innermost id counts") {
    const std::string outer = full_id('a');
    const std::string inner = full_id('b');
    CHECK(by_path("/docker/" + outer + "/docker/" + inner, 1, 2) == named(inner, "docker"));
}

TEST_CASE("a container in the host's pid namespace is known by its name") {
    const std::string id = full_id('a');
    CHECK(by_path("/docker/" + id, 5000, 0) == named(id, "docker"));
    CHECK(by_path("/foo", 5000, 0) == std::nullopt);
    CHECK(by_path("/", 1, 0) == std::nullopt);
}

TEST_CASE("only exactly 64 lower-case hex digits are an id") {
    const std::string id = full_id('a');
    CHECK(by_path("/docker/" + id + "a", 7, 0) == std::nullopt);
    CHECK(by_path("/docker/" + id.substr(1), 7, 0) == std::nullopt);
    CHECK(by_path("/docker/" + full_id('A'), 7, 0) == std::nullopt);
    CHECK(by_path("/docker/x" + id, 7, 0) == std::nullopt);
    CHECK(by_path("/docker/docker-" + id + ".scope.scope", 7, 0) == std::nullopt);
    CHECK(by_path("/docker/" + id + ".service", 7, 0) == std::nullopt);
}

TEST_CASE("conmon is no container") {
    const std::string id = full_id('a');
    CHECK(by_path("/machine.slice/libpod-conmon-" + id + ".scope", 99, 0) == std::nullopt);
    CHECK(by_path("/crio-conmon-" + id + ".scope", 99, 0) == std::nullopt);
    CHECK(by_path("/libpod_parent/libpod-" + id + "/conmon", 99, 0) == std::nullopt);
    CHECK(by_path("/libpod_parent/conmon", 99, 0) == std::nullopt);
    CHECK(by_path("/libpod-conmon-" + id + ".scope", 1, 1, 77) == named("pidns-77", ""));
}

TEST_CASE("without an id, a pid namespace's first process is named by its leaf") {
    CHECK(by_path("/default/mine") == named("mine", ""));
    CHECK(by_path("/lxc.payload.c1") == named("lxc.payload.c1", "lxc"));
    CHECK(by_path("/machine.slice/machine-deb.scope") == named("machine-deb.scope", ""));
    CHECK(by_path("/default/mine", 2) == std::nullopt);
}

TEST_CASE("names that many share, or that are no file names, are replaced") {
    const std::vector<std::string> paths{"/",
                                         "/user.slice",
                                         "/user.slice/session-3.scope",
                                         "/user.slice/user@1000.service",
                                         "/user.slice/app-x.scope",
                                         "/init.scope",
                                         "/x/container",
                                         "/payload",
                                         "/system.slice/ssh.service",
                                         "/x/..",
                                         "/x/.hidden",
                                         "/x/-rf",
                                         "/x/a b",
                                         "/x/a\nb",
                                         "/x/a\x1b[31m",
                                         "/x/pidns-4026531836",
                                         "/x/pid-1",
                                         "/x/\xff\xfe",
                                         "/x/" + std::string(129, 'a')};
    for (const std::string& path : paths) {
        INFO(path);
        CHECK(by_path(path, 1, 1, (1ULL << 63) | 4026532000) == named("pidns-4026532000", ""));
    }
    CHECK(identify({}, 1, 1, 5) == named("pidns-5", ""));
}
