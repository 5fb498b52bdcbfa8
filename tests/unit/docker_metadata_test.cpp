// Docker's files: contents, places, and who is believed.
#include "container/docker_metadata.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "fake_host.h"

using namespace twinlog;
using namespace std::chrono_literals;
using test::FakeHost;
using test::FakeProcess;
using test::full_id;

namespace {

using Time = std::chrono::steady_clock::time_point;

std::string config(const std::string& name) {
    return R"({"Name":"/)" + name + R"(","State":{"Pid":4711}})";
}

void add(const FakeHost& host, const std::string& root, const std::string& id,
         const std::string& name) {
    host.write(root + "/containers/" + id + "/config.v2.json", config(name));
}

FakeProcess dockerd(std::uint32_t pid, const std::vector<std::string>& arguments) {
    FakeProcess process;
    process.pid = pid;
    process.comm = "dockerd";
    process.arguments = arguments;
    return process;
}

std::string name_of(DockerMetadata& docker, const std::string& id, std::uint32_t pid = 0) {
    const auto metadata = docker.look_up({id, pid});
    return metadata ? metadata->name : "(none)";
}

}  // namespace

TEST_CASE("docker metadata: all fields") {
    const auto metadata = parse_docker_metadata(
        R"({"ID":"x","Name":"/web","Created":"2026-11-24T00:03:49.05Z",
            "Config":{"Tty":true,"Image":"busybox:1","Labels":{"a":"1","b":2,"c":"3"}},
            "State":{"Pid":77,"StartedAt":"2026-11-24T00:03:50.000000001Z"}})",
        R"({"LogConfig":{"Type":"gelf","Config":{}}})");
    REQUIRE(metadata);
    CHECK(metadata->name == "web");
    CHECK(metadata->image == "busybox:1");
    CHECK(metadata->labels == std::map<std::string, std::string>{{"a", "1"}, {"c", "3"}});
    CHECK(metadata->tty);
    CHECK(metadata->state_pid == 77U);
    CHECK(metadata->log_driver == "gelf");
    CHECK(metadata->runtime == "docker");
    CHECK(metadata->created_ns == 1795478629050000000);
    CHECK(metadata->started_ns == 1795478630000000001);
}

TEST_CASE("docker metadata: wrong types cost their own field only") {
    const auto metadata = parse_docker_metadata(
        R"({"Name":"/web","Created":5,"Config":{"Tty":"yes","Image":null,"Labels":[1]},
            "State":{"Pid":-1,"StartedAt":"0001-01-01T00:00:00Z"}})",
        "no json");
    REQUIRE(metadata);
    CHECK(metadata->name == "web");
    CHECK(metadata->image.empty());
    CHECK(metadata->labels.empty());
    CHECK_FALSE(metadata->tty);
    CHECK_FALSE(metadata->state_pid);
    CHECK(metadata->created_ns == 0);
    CHECK(metadata->started_ns == 0);
    CHECK(metadata->log_driver.empty());
    CHECK(parse_docker_metadata(R"({"State":7,"Config":"x","Created":"10m"})", "[]"));
    CHECK_FALSE(parse_docker_metadata(R"({"State":{"Pid":0}})", "")->state_pid);
}

TEST_CASE("docker metadata: what is no JSON object is nothing") {
    for (const char* text : {"", "{", "[]", "null", "\"x\"", "{\"Name\":\"\xff\"}"}) {
        INFO(text);
        CHECK_FALSE(parse_docker_metadata(text, ""));
    }
    std::string deep = R"({"Name":"/web","x":)" + std::string(100000, '[');
    deep += std::string(100000, ']') + "}";
    const auto metadata = parse_docker_metadata(deep, "");
    REQUIRE(metadata);
    CHECK(metadata->name == "web");
}

TEST_CASE("dockerd's arguments") {
    const auto root = [](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "dockerd");
        return parse_dockerd_arguments(arguments).data_root;
    };
    CHECK(root({}).empty());
    CHECK(root({"--data-root", "/d"}) == "/d");
    CHECK(root({"-D", "--data-root=/d", "--bip", "x"}) == "/d");
    CHECK(root({"-g", "/d"}) == "/d");
    CHECK(root({"-g=/d"}) == "/d");
    CHECK(root({"-g/d"}) == "/d");
    CHECK(root({"--graph", "/d"}) == "/d");
    CHECK(root({"--graph=/d"}) == "/d");
    CHECK(root({"--data-root"}).empty());
    CHECK(root({"--data-rooted=/d"}).empty());
    CHECK(root({"--", "--data-root", "/d"}).empty());
    CHECK(parse_dockerd_arguments({"dockerd", "--config-file", "--data-root"}) ==
          DockerdArguments{"", "--data-root"});
}

TEST_CASE("docker: the usual place needs no dockerd") {
    const FakeHost host;
    add(host, "/var/lib/docker", full_id('a'), "web");
    host.write("/var/lib/docker/containers/" + full_id('a') + "/hostconfig.json",
               R"({"LogConfig":{"Type":"syslog"}})");
    DockerMetadata docker(ProcFs(host.proc()), host.root());
    const auto metadata = docker.look_up({full_id('a'), 0});
    REQUIRE(metadata);
    CHECK(metadata->name == "web");
    CHECK(metadata->log_driver == "syslog");
    CHECK(metadata->state_pid == 4711U);
    CHECK(name_of(docker, full_id('b')) == "(none)");
    CHECK(name_of(docker, "../containers/" + full_id('a')) == "(none)");
    CHECK(name_of(docker, "") == "(none)");
}

TEST_CASE("docker: a userns-remap root lies one level deeper") {
    const FakeHost host;
    add(host, "/var/lib/docker/100000.100000", full_id('a'), "mapped");
    add(host, "/var/lib/docker/image", full_id('b'), "elsewhere");
    DockerMetadata docker(ProcFs(host.proc()), host.root());
    CHECK(name_of(docker, full_id('a')) == "mapped");
    CHECK(name_of(docker, full_id('b')) == "(none)");
}

TEST_CASE("docker: roots of running dockerds, also of later ones") {
    const FakeHost host;
    add(host, "/srv/one", full_id('1'), "one");
    add(host, "/srv/two", full_id('2'), "two");
    add(host, "/srv/three", full_id('3'), "three");
    add(host, "/srv/four", full_id('4'), "four");
    DockerMetadata docker(ProcFs(host.proc()), host.root(), [now = Time{}]() mutable {
        now += std::chrono::minutes{1};
        return now;
    });
    host.start(dockerd(10, {"dockerd", "--data-root", "/srv/one"}));
    CHECK(name_of(docker, full_id('1')) == "one");
    CHECK(name_of(docker, full_id('2')) == "(none)");

    FakeProcess relative = dockerd(20, {"dockerd", "--data-root=two"});
    relative.cwd = "/srv";
    host.start(relative);
    CHECK(name_of(docker, full_id('2')) == "two");

    host.write("/etc/three.json", R"({"data-root":"/srv/three","debug":true})");
    host.start(dockerd(30, {"dockerd", "--config-file", "/etc/three.json"}));
    CHECK(name_of(docker, full_id('3')) == "three");

    host.write("/etc/docker/daemon.json", R"({"graph":"/srv/four"})");
    host.start(dockerd(40, {"dockerd"}));
    CHECK(name_of(docker, full_id('4')) == "four");

    // Files of the host outlive their dockerd.
    host.end(10);
    CHECK(name_of(docker, full_id('9')) == "(none)");
    CHECK(name_of(docker, full_id('1')) == "one");
}

TEST_CASE("docker: all who are unknown together cost one look at all processes a second") {
    const FakeHost host;
    add(host, "/srv/one", full_id('1'), "one");
    add(host, "/srv/two", full_id('2'), "two");
    add(host, "/var/lib/docker", full_id('3'), "three");
    Time now{};
    DockerMetadata docker(ProcFs(host.proc()), host.root(), [&now] { return now; });
    CHECK(name_of(docker, full_id('a')) == "(none)");
    host.start(dockerd(10, {"dockerd", "--data-root", "/srv/one"}));
    now += 999ms;
    CHECK(name_of(docker, full_id('1')) == "(none)");
    // Who is where it is known to be is found without.
    CHECK(name_of(docker, full_id('3')) == "three");
    now += 1ms;
    CHECK(name_of(docker, full_id('1')) == "one");
    host.start(dockerd(20, {"dockerd", "--data-root", "/srv/two"}));
    CHECK(name_of(docker, full_id('2')) == "(none)");
    now += 1s;
    // What is found for one is found for all.
    CHECK(name_of(docker, full_id('b')) == "(none)");
    CHECK(name_of(docker, full_id('2')) == "two");
}

TEST_CASE("docker: who stays unknown is looked for ever less often, who is new at once") {
    const FakeHost host;
    add(host, "/srv/late", full_id('a'), "late");
    add(host, "/srv/late", full_id('b'), "new");
    std::vector<int> found_at;
    for (int second = 0; second < 130; ++second) {
        Time now{};
        DockerMetadata docker(ProcFs(host.proc()), host.root(), [&now] { return now; });
        for (int before = 0; before < second; ++before, now += 1s) {
            REQUIRE(name_of(docker, full_id('a')) == "(none)");
        }
        host.start(dockerd(10, {"dockerd", "--data-root", "/srv/late"}));
        if (name_of(docker, full_id('a')) == "late") {
            found_at.push_back(second);
        } else {
            CHECK(name_of(docker, full_id('b')) == "new");
            CHECK(name_of(docker, full_id('a')) == "late");
        }
        host.end(10);
    }
    CHECK(found_at == std::vector<int>{0, 1, 3, 7, 15, 31, 63, 123});
}

TEST_CASE("docker: another mount namespace is seen through its process") {
    const FakeHost host;
    add(host, "/snap/var/lib/docker", full_id('a'), "snapped");
    DockerMetadata docker(ProcFs(host.proc()), host.root());
    FakeProcess daemon = dockerd(10, {"dockerd"});
    daemon.mntns = 2;
    daemon.root = "/snap";
    host.start(daemon);
    CHECK(name_of(docker, full_id('a')) == "snapped");
    host.end(10);
    CHECK(name_of(docker, full_id('a')) == "(none)");
}

TEST_CASE("docker: a process in a container is believed for its own containers only") {
    const FakeHost host;
    add(host, "/inner/var/lib/docker", full_id('a'), "mine");
    FakeProcess daemon = dockerd(10, {"dockerd"});
    daemon.mntns = 2;
    daemon.pidns = 2;
    daemon.root = "/inner";
    daemon.cgroup = "/docker/" + full_id('d');
    host.start(daemon);
    FakeProcess shim;
    shim.pid = 20;
    host.start(shim);
    FakeProcess init;
    init.pid = 21;
    init.ppid = 20;
    host.start(init);
    DockerMetadata docker(ProcFs(host.proc()), host.root());
    CHECK(name_of(docker, full_id('a'), 21) == "(none)");
    CHECK(name_of(docker, full_id('a')) == "(none)");

    shim.mntns = 2;
    shim.pidns = 2;
    host.start(shim);
    const auto metadata = docker.look_up({full_id('a'), 21});
    REQUIRE(metadata);
    CHECK(metadata->name == "mine");
    // Its pids are not ours.
    CHECK_FALSE(metadata->state_pid);

    // What the host's own Docker says comes first.
    add(host, "/var/lib/docker", full_id('a'), "true");
    CHECK(name_of(docker, full_id('a'), 21) == "true");
    CHECK(docker.resolve("mine") == std::vector<std::string>{full_id('a')});
    add(host, "/var/lib/docker", full_id('b'), "mine");
    CHECK(docker.resolve("mine") == std::vector<std::string>{full_id('b')});
}

TEST_CASE("docker: links do not lead out of the daemon's root") {
    const FakeHost host;
    add(host, "/secret", full_id('a'), "secret");
    std::filesystem::create_directories(host.root() + "/inner/var/lib");
    std::filesystem::create_directory_symlink(host.root() + "/secret",
                                              host.root() + "/inner/var/lib/docker");
    FakeProcess daemon = dockerd(10, {"dockerd"});
    daemon.mntns = 2;
    daemon.root = "/inner";
    host.start(daemon);
    DockerMetadata docker(ProcFs(host.proc()), host.root());
    CHECK(name_of(docker, full_id('a')) == "(none)");
}

TEST_CASE("docker: a FIFO or a huge file in place of the config is refused") {
    const FakeHost host;
    const std::string directory = "/var/lib/docker/containers/" + full_id('a');
    std::filesystem::create_directories(host.root() + directory);
    REQUIRE(::mkfifo((host.root() + directory + "/config.v2.json").c_str(), 0600) == 0);
    add(host, "/var/lib/docker", full_id('b'), std::string(5U << 20U, 'x'));
    DockerMetadata docker(ProcFs(host.proc()), host.root());
    CHECK(name_of(docker, full_id('a')) == "(none)");
    CHECK(name_of(docker, full_id('b')) == "(none)");
}

TEST_CASE("docker: rootless keeps its data in the user's home") {
    const FakeHost host;
    const std::uint32_t user = ::getuid() == 0 ? 1000 : ::getuid();
    add(host, "/home/u/.local/share/docker", full_id('a'), "rootless");
    const std::string file =
        host.root() + "/home/u/.local/share/docker/containers/" + full_id('a') + "/config.v2.json";
    FakeProcess daemon = dockerd(10, {"dockerd"});
    daemon.uid = user;
    daemon.mntns = 2;
    daemon.environment = std::string("ROOTLESSKIT_STATE_DIR=/r\0HOME=/home/u\0", 39);
    host.start(daemon);
    FakeProcess shim = daemon;
    shim.pid = 20;
    shim.comm = "containerd-shim";
    host.start(shim);
    FakeProcess init;
    init.pid = 21;
    init.ppid = 20;
    host.start(init);
    DockerMetadata docker(ProcFs(host.proc()), host.root());
    if (::getuid() == 0) {
        // root's files are not shown on a user's word
        CHECK(name_of(docker, full_id('a'), 21) == "(none)");
        REQUIRE(::chown(file.c_str(), user, user) == 0);
    }
    CHECK(name_of(docker, full_id('a'), 21) == "rootless");
}

TEST_CASE("docker: names, ids and prefixes") {
    const FakeHost host;
    const std::string a = full_id('a');
    const std::string ab = "ab" + std::string(62, '0');
    add(host, "/var/lib/docker", a, "web");
    add(host, "/var/lib/docker", ab, "a");
    host.write("/var/lib/docker/containers/notes/config.v2.json", config("notes"));
    DockerMetadata docker(ProcFs(host.proc()), host.root());
    using Ids = std::vector<std::string>;
    CHECK(docker.resolve("web") == Ids{a});
    CHECK(docker.resolve("/web") == Ids{a});
    CHECK(docker.resolve(a) == Ids{a});
    CHECK(docker.resolve("aa") == Ids{a});
    CHECK(docker.resolve("a") == Ids{ab});
    CHECK(docker.resolve("notes").empty());
    CHECK(docker.resolve("nosuch").empty());
    CHECK(docker.resolve("").empty());
    add(host, "/var/lib/docker", ab, "other");
    CHECK(docker.resolve("a") == Ids{a, ab});
}
