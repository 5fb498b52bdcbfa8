// From start facts to container info: fallbacks, changes, and ids that two processes claim.
#include "container/registry.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "container/containerd_metadata.h"
#include "container/docker_metadata.h"
#include "container/podman_metadata.h"
#include "fake_host.h"

using namespace twinlog;
using test::FakeHost;
using test::FakeProcess;
using test::full_id;

namespace {

// Knows what the test puts into it.
class TableSource : public MetadataSource {
 public:
    explicit TableSource(std::map<std::string, Metadata>& table) : table_(table) {}
    std::optional<Metadata> look_up(const ContainerRef& container) override {
        const auto found = table_.find(container.id);
        if (found == table_.end()) return std::nullopt;
        return found->second;
    }
    std::vector<std::string> resolve(const std::string& text) override {
        return table_.count(text) != 0 ? std::vector<std::string>{text}
                                       : std::vector<std::string>{};
    }

 private:
    std::map<std::string, Metadata>& table_;
};

class Fixture {
 public:
    Registry registry() {
        std::vector<std::unique_ptr<MetadataSource>> sources;
        sources.push_back(std::make_unique<TableSource>(first));
        sources.push_back(std::make_unique<TableSource>(second));
        return {ProcFs(host.proc()), std::move(sources), host.root() + "/cgroup"};
    }

    FakeHost host;
    std::map<std::string, Metadata> first;
    std::map<std::string, Metadata> second;
};

Metadata web() {
    Metadata metadata;
    metadata.name = "web";
    metadata.image = "img";
    metadata.log_driver = "gelf";
    metadata.runtime = "docker";
    metadata.tty = true;
    metadata.labels = {{"a", "1"}};
    metadata.created_ns = 5;
    metadata.started_ns = 6;
    return metadata;
}

StartFacts docker_start(const std::string& id, std::uint32_t pid) {
    StartFacts facts;
    facts.pid = pid;
    facts.started_ns = 1000;
    facts.pidns = 4026532000 + pid;
    facts.level = 1;
    facts.ns_pid = 1;
    facts.cgroup = {id, "docker"};
    return facts;
}

FakeProcess process(std::uint32_t pid, const std::string& cgroup) {
    FakeProcess process;
    process.pid = pid;
    process.cgroup = cgroup;
    return process;
}

}  // namespace

TEST_CASE("registry: what the source knows is taken over") {
    Fixture fixture;
    fixture.host.start(process(10, "/docker/" + full_id('a')));
    fixture.second[full_id('a')] = web();
    Registry registry = fixture.registry();
    const auto info = registry.describe(docker_start(full_id('a'), 10));
    REQUIRE(info);
    CHECK(info->id == full_id('a'));
    CHECK(info->name == "web");
    CHECK(info->image == "img");
    CHECK(info->log_driver == "gelf");
    CHECK(info->runtime == "docker");
    CHECK(info->tty);
    CHECK(info->labels.at("a") == "1");
    CHECK(info->created_ns == 5);
    CHECK(info->started_ns == 1000);
    CHECK(info->init_pid == 10);
    CHECK(info->cgroup == "/docker/" + full_id('a'));
    CHECK(info->state == ContainerState::running);
}

TEST_CASE("registry: without metadata the id serves as name") {
    Fixture fixture;
    Registry registry = fixture.registry();
    const auto info = registry.describe(docker_start(full_id('a'), 10));
    REQUIRE(info);
    CHECK(info->name == "aaaaaaaaaaaa");
    CHECK(info->runtime == "docker");
    CHECK(info->cgroup == "/docker/" + full_id('a'));

    StartFacts facts = docker_start("x y", 11);
    CHECK(registry.describe(facts)->name == "pidns-4026532011-0");
}

TEST_CASE("registry: a source without a name only tells the runtime") {
    Fixture fixture;
    fixture.first[full_id('a')].runtime = "containerd";
    Registry registry = fixture.registry();
    const auto nameless = registry.describe(docker_start(full_id('a'), 10));
    CHECK(nameless->runtime == "containerd");
    CHECK(nameless->name == "aaaaaaaaaaaa");
    fixture.second[full_id('a')] = web();
    CHECK(registry.describe(docker_start(full_id('a'), 10))->runtime == "docker");
}

TEST_CASE("registry: what is no container is nothing, unless asked for by pid") {
    Fixture fixture;
    Registry registry = fixture.registry();
    StartFacts facts = docker_start("foo.service", 10);
    facts.level = 0;
    facts.ns_pid = 10;
    CHECK_FALSE(registry.describe(facts));
    facts.by_pid = true;
    facts.start_boottime_ns = 123'000'000'000;
    CHECK(registry.describe(facts)->id == "pid-10-12300");
    // The number comes again, for another process.
    facts.start_boottime_ns = 456'000'000'000;
    CHECK(registry.describe(facts)->id == "pid-10-45600");
}

TEST_CASE("registry: a restarted container keeps its id") {
    Fixture fixture;
    Registry registry = fixture.registry();
    fixture.host.start(process(10, "/docker/" + full_id('a')));
    CHECK(registry.describe(docker_start(full_id('a'), 10))->id == full_id('a'));
    // dockerd has not written the new pid yet.
    fixture.second[full_id('a')] = web();
    fixture.second[full_id('a')].state_pid = 10;
    fixture.host.end(10);
    fixture.host.start(process(11, "/docker/" + full_id('a')));
    CHECK(registry.describe(docker_start(full_id('a'), 11))->id == full_id('a'));
    // And its old pid is something else's now.
    fixture.host.start(process(10, "/user.slice"));
    CHECK(registry.describe(docker_start(full_id('a'), 11))->id == full_id('a'));
}

TEST_CASE("registry: a second living process does not get a container's id") {
    Fixture fixture;
    Registry registry = fixture.registry();
    fixture.host.start(process(10, "/docker/" + full_id('a')));
    fixture.host.start(process(20, "/user.slice/docker/" + full_id('a')));
    CHECK(registry.describe(docker_start(full_id('a'), 10))->id == full_id('a'));
    const auto borrowed = registry.describe(docker_start(full_id('a'), 20));
    REQUIRE(borrowed);
    CHECK(borrowed->id == "pidns-4026532020-0");
    CHECK(borrowed->name == "pidns-4026532020-0");
    CHECK(borrowed->runtime.empty());
    // Told of the same process again, nothing changes.
    CHECK(registry.describe(docker_start(full_id('a'), 10))->id == full_id('a'));
}

TEST_CASE("registry: Docker's word on the first process decides, whoever was seen first") {
    Fixture fixture;
    fixture.second[full_id('a')] = web();
    fixture.second[full_id('a')].state_pid = 10;
    Registry registry = fixture.registry();
    fixture.host.start(process(10, "/docker/" + full_id('a')));
    fixture.host.start(process(20, "/docker/" + full_id('a') + "/x"));
    CHECK(registry.describe(docker_start(full_id('a'), 20))->id == "pidns-4026532020-0");
    CHECK(registry.describe(docker_start(full_id('a'), 10))->name == "web");
}

// Directories cannot be given away without being root, so here the user is who runs the tests, and
// the runtime somebody else.
TEST_CASE("registry: nobody makes a group for a container of another user's runtime") {
    Fixture fixture;
    const uid_t user = ::getuid();
    const std::string group = "/user.slice/mine/docker-" + full_id('a') + ".scope";
    std::filesystem::create_directories(fixture.host.root() + "/cgroup" + group);
    if (user == 0) {
        const std::string mine = fixture.host.root() + "/cgroup/user.slice/mine";
        REQUIRE(::chown(mine.c_str(), 1000, 1000) == 0);
    }
    const uid_t delegate = user == 0 ? 1000 : user;
    const uid_t runtime = delegate + 1;
    Metadata& metadata = fixture.second[full_id('a')] = web();
    metadata.owner = runtime;
    StartFacts facts = docker_start(full_id('a'), 20);
    facts.cgroup = {"docker-" + full_id('a') + ".scope", "mine", "user.slice"};
    FakeProcess init = process(20, group);
    init.ppid = 5;
    FakeProcess parent = process(5, "/user.slice");
    parent.uid = delegate;
    fixture.host.start(parent);
    fixture.host.start(init);
    const auto name = [&] { return fixture.registry().describe(facts)->name; };
    CHECK(name() == "pidns-4026532020-0");
    // Its parent is gone.
    init.ppid = 1;
    fixture.host.start(init);
    CHECK(name() == "pidns-4026532020-0");
    // --cgroup-parent: root's runtime may make groups everywhere.
    init.ppid = 5;
    parent.uid = runtime;
    fixture.host.start(init);
    fixture.host.start(parent);
    CHECK(name() == "web");
    // A rootless runtime.
    metadata.owner = delegate;
    parent.uid = delegate;
    fixture.host.start(parent);
    CHECK(name() == "web");
}

TEST_CASE("registry: what a parent calls itself is its user's word, and root's goes first") {
    const FakeHost host;
    const uid_t user = ::getuid() == 0 ? 1000 : ::getuid();
    const std::string id = full_id('a');
    const std::string group = "/user.slice/mine/docker-" + id + ".scope";
    const std::string mine = host.root() + "/cgroup/user.slice/mine";
    std::filesystem::create_directories(mine);
    if (::getuid() == 0) REQUIRE(::chown(mine.c_str(), user, user) == 0);
    const ProcFs proc(host.proc());
    const auto describe = [&](const StartFacts& facts, const StoredContainers& stored) {
        std::vector<std::unique_ptr<MetadataSource>> sources;
        sources.push_back(std::make_unique<PodmanMetadata>(proc, host.root()));
        sources.push_back(std::make_unique<ContainerdMetadata>(proc));
        sources.push_back(std::make_unique<DockerMetadata>(proc, host.root()));
        return *Registry(proc, std::move(sources), host.root() + "/cgroup").describe(facts, stored);
    };
    FakeProcess parent = process(5, "/user.slice");
    parent.uid = user;
    parent.cwd = "/bundles/x";
    const auto called = GENERATE("sh", "conmon", "containerd-shim");
    parent.comm = called;
    if (parent.comm == "conmon") parent.arguments = {"conmon", "-c", id, "-n", "taken"};
    if (parent.comm == "containerd-shim") {
        parent.arguments = {"containerd-shim", "-namespace", "default", "-id", "x"};
        const std::string config = "/bundles/" + id + "/config.json";
        host.write(config, R"({"annotations":{"nerdctl/name":"taken"}})");
        const std::string path = host.root() + config;
        if (::getuid() == 0) REQUIRE(::chown(path.c_str(), user, user) == 0);
    }
    FakeProcess init = process(20, group);
    init.ppid = 5;
    init.uid = user;
    host.start(parent);
    host.start(init);
    StartFacts facts = docker_start(id, 20);
    facts.cgroup = {"docker-" + id + ".scope", "mine", "user.slice"};
    const std::string nobody = "pidns-4026532020-0";
    ContainerInfo stored;
    stored.id = id;
    stored.cgroup = "/system.slice/docker-" + id + ".scope";
    const StoredContainers store = [&](const std::string& asked) {
        return asked == id ? std::optional<ContainerInfo>(stored) : std::nullopt;
    };

    SECTION("a container of root's Docker") {
        host.write("/var/lib/docker/containers/" + id + "/config.v2.json", R"({"Name":"/web"})");
        CHECK(describe(facts, {}).id == nobody);
        host.end(20);
        CHECK(describe(facts, {}).id == nobody);
    }
    SECTION("a log of root's") {
        stored.owner = 0;
        CHECK(describe(facts, store).id == nobody);
        // One that did not say whose it is.
        stored.owner.reset();
        CHECK(describe(facts, store).id == nobody);
    }
    SECTION("the user's own") {
        stored.owner = user;
        const ContainerInfo info = describe(facts, store);
        CHECK(info.id == id);
        CHECK(info.owner == user);
        CHECK(describe(facts, {}).id == id);
        // Root's container of that name is nobody else's.
        init.uid = parent.uid = 0;
        host.start(parent);
        host.start(process(20, "/system.slice/docker-" + id + ".scope"));
        facts.cgroup = {"docker-" + id + ".scope", "system.slice"};
        CHECK(describe(facts, store).owner == 0);
    }
    SECTION("a process that is gone, in a group of which only the end is known") {
        host.end(20);
        facts.cgroup = {"docker-" + id + ".scope", "user.slice", "user@1.service", "user-1.slice"};
        stored.owner = 0;
        CHECK(describe(facts, store).id == nobody);
        stored.owner = user;
        stored.cgroup =
            "/user.slice/user-1.slice/user@1.service/user.slice/docker-" + id + ".scope";
        CHECK(describe(facts, store).id == id);
        CHECK(describe(facts, store).owner == user);
    }
}

TEST_CASE("registry: a short id is not looked for in the names of other groups") {
    Fixture fixture;
    const uid_t user = ::getuid() == 0 ? 1000 : ::getuid();
    const std::string mine = fixture.host.root() + "/cgroup/user.slice/mine";
    std::filesystem::create_directories(mine);
    if (::getuid() == 0) REQUIRE(::chown(mine.c_str(), user, user) == 0);
    StartFacts facts = docker_start("user", 20);
    facts.cgroup = {"user", "mine", "user.slice"};
    CHECK(fixture.registry().describe(facts)->owner == user);
}

TEST_CASE("registry: another process under the same pid is not read") {
    Fixture fixture;
    Registry registry = fixture.registry();
    fixture.host.start(process(10, "/user.slice"));  // started at tick 1000
    StartFacts facts = docker_start(full_id('a'), 10);
    facts.start_boottime_ns = 999'990'000'000;
    CHECK(registry.describe(facts)->cgroup == "/docker/" + full_id('a'));
    facts.start_boottime_ns = 10'005'000'000;
    CHECK(registry.describe(facts)->cgroup == "/user.slice");
}

TEST_CASE("registry: refresh sees a rename and late metadata") {
    Fixture fixture;
    Registry registry = fixture.registry();
    auto info = registry.describe(docker_start(full_id('a'), 10));
    REQUIRE(info);
    CHECK_FALSE(registry.refresh(*info));
    fixture.second[full_id('a')] = web();
    CHECK(registry.refresh(*info));
    CHECK(info->name == "web");
    CHECK(info->started_ns == 1000);
    CHECK_FALSE(registry.refresh(*info));
    fixture.second[full_id('a')].name = "shop";
    CHECK(registry.refresh(*info));
    CHECK(info->name == "shop");
    fixture.second.clear();
    CHECK_FALSE(registry.refresh(*info));
    CHECK(info->name == "shop");
}

TEST_CASE("registry: resolve asks all sources") {
    Fixture fixture;
    fixture.first["x"] = {};
    fixture.second["x"] = {};
    Registry registry = fixture.registry();
    CHECK(registry.resolve("x") == std::vector<std::string>{"x"});
    CHECK(registry.resolve("y").empty());
}

TEST_CASE("registry: removed is what its runtime's own list lacks, nothing else") {
    const FakeHost host;
    std::vector<std::unique_ptr<MetadataSource>> sources;
    sources.push_back(std::make_unique<DockerMetadata>(ProcFs(host.proc()), host.root()));
    Registry registry(ProcFs(host.proc()), std::move(sources));
    const std::string kept = "/srv/docker/containers/" + full_id('a');
    ContainerInfo info;
    info.id = full_id('a');
    info.state = ContainerState::ended;
    // A host without any runtime that runs: nobody can tell.
    for (const char* const runtime : {"docker", "podman", "containerd", "cri-o", "lxc", ""}) {
        info.runtime = runtime;
        CHECK(registry.presence(info) == Presence::unknown);
    }

    SECTION("its home is known") {
        info.runtime = "docker";
        info.image = "img";
        info.home = host.root() + kept;
        CHECK(registry.presence(info) == Presence::unknown);
        host.write(kept + "/config.v2.json", "{}");
        CHECK(registry.presence(info) == Presence::there);
        std::filesystem::remove_all(host.root() + kept);
        CHECK(registry.presence(info) == Presence::removed);
        // The data root was moved.
        host.write("/var/lib/docker/containers/" + info.id + "/config.v2.json", "{}");
        CHECK(registry.presence(info) == Presence::there);
    }
    SECTION("its home is that of its dockerd") {
        host.write("/var/lib/docker/containers/" + info.id + "/config.v2.json", "{}");
        StartFacts facts = docker_start(info.id, 50);
        const auto found = registry.describe(facts);
        REQUIRE(found);
        CHECK(found->home == host.root() + "/var/lib/docker/containers/" + info.id);
        CHECK(registry.presence(*found) == Presence::there);
    }
    SECTION("Docker's, and never looked up") {
        info.runtime = "docker";
        // Left there by a dockerd of another data root.
        std::filesystem::create_directories(host.root() + "/var/lib/docker/containers");
        CHECK(registry.presence(info) == Presence::unknown);
        FakeProcess dockerd;
        dockerd.pid = 10;
        dockerd.comm = "dockerd";
        dockerd.arguments = {"dockerd", "--data-root", "/srv/docker"};
        host.start(dockerd);
        CHECK(registry.presence(info) == Presence::unknown);
        host.write("/srv/docker/containers/" + full_id('b') + "/config.v2.json", "{}");
        CHECK(registry.presence(info) == Presence::removed);
        // Somebody else's Docker knew it.
        info.image = "img";
        CHECK(registry.presence(info) == Presence::unknown);
        info.image.clear();
        host.write(kept + "/config.v2.json", "{}");
        CHECK(registry.presence(info) == Presence::there);
    }
    SECTION("an id of our own") {
        info.id = "pid-60-1000";
        info.init_pid = 60;
        CHECK(registry.presence(info) == Presence::removed);
        FakeProcess process;
        process.pid = 60;
        host.start(process);
        CHECK(registry.presence(info) == Presence::there);
        info.id = "pid-60-999";
        CHECK(registry.presence(info) == Presence::removed);
    }
}
