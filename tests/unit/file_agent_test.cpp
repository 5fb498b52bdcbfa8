// Files of a process whose file system may not answer: an answer, or none in time.
#include "container/file_agent.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "container/docker_metadata.h"
#include "container/process.h"
#include "container/registry.h"
#include "container/rooted_file.h"
#include "fake_host.h"
#include "silent_file_system.h"

using namespace twinlog;
using namespace std::chrono_literals;
using twinlog::test::FakeHost;
using twinlog::test::full_id;
using twinlog::test::SilentFileSystem;
using Steady = std::chrono::steady_clock;

namespace {

// Long enough for a process to start on a busy host.
constexpr AgentLimits patient{5000ms, 20000ms, 0ms};

// The host's files by an agent that was already asked, and so has started.
struct Asked {
    explicit Asked(AgentLimits limits) {
        root.agent = std::make_shared<FileAgent>(limits, [this] { return Steady::now() + later; });
        root.directory = host.root();
        host.write("/file", "text");
    }

    [[nodiscard]] bool is_answered() const { return read_rooted(root, "/file", 100).has_value(); }
    // The start of a process takes a while on a busy host.
    [[nodiscard]] bool answers_in_the_end() const {
        for (int tries = 0; tries < 100; ++tries) {
            if (is_answered()) return true;
            std::this_thread::sleep_for(50ms);
        }
        return false;
    }
    [[nodiscard]] FileRoot root_of(const SilentFileSystem& silent, std::uint32_t whom) const {
        FileRoot files = root;
        files.directory = "/proc/" + std::to_string(silent.pid()) + "/root";
        files.whom.pid = whom;
        return files;
    }

    FakeHost host;
    std::chrono::milliseconds later{};
    FileRoot root;
};

int code_of(const Result<std::string>& result) {
    return result ? 0 : result.error().code;
}

}  // namespace

TEST_CASE("file agent: says what a reading here says", "[file_agent]") {
    const Asked asked(patient);
    FileRoot here = asked.root;
    here.agent.reset();
    const FakeHost& host = asked.host;
    host.write("/d/one", "1");
    host.write("/d/two", std::string(300000, 'x'));
    for (const char* path : {"/file", "/d/one", "/d/two", "/d", "/none"}) {
        for (const std::size_t limit : {1U, 1000U, 1000000U}) {
            const auto there = read_rooted(asked.root, path, limit);
            const auto expected = read_rooted(here, path, limit);
            REQUIRE(there.has_value() == expected.has_value());
            if (there) CHECK(*there == *expected);
            CHECK(code_of(there) == code_of(expected));
        }
    }
    for (FileRoot root : {asked.root, here}) {
        auto names = list_rooted(root, "/d", 10);
        REQUIRE(names);
        std::sort(names->begin(), names->end());
        CHECK(*names == std::vector<std::string>{"one", "two"});
        CHECK(list_rooted(root, "/d", 1)->size() == 1);
        CHECK_FALSE(list_rooted(root, "/none", 1));
        CHECK(path_on_host(root, "/d", host.root()) == host.root() + "/d");
        CHECK(path_on_host(root, "/d", "/proc")->empty());
        CHECK(presence_of(root, host.root() + "/d/one") == Presence::there);
        CHECK(presence_of(root, host.root() + "/d/none") == Presence::removed);
        CHECK(presence_of(root, host.root() + "/none/none") == Presence::unknown);
        root.owner = ::getuid() + 1;
        CHECK_FALSE(read_rooted(root, "/file", 100));
    }
    CHECK(code_of(read_rooted(asked.root, std::string(20000, 'x'), 100)) == ENAMETOOLONG);
    CHECK(asked.is_answered());
    CHECK(asked.root.agent->unanswered() == 0);
}

TEST_CASE("file agent: one that was ended is started again", "[file_agent]") {
    const Asked asked(patient);
    REQUIRE(asked.is_answered());
    ::kill(asked.root.agent->pid(), SIGKILL);
    (void)asked.is_answered();
    FileRoot other = asked.root;
    other.whom.pid = 1;
    CHECK(read_rooted(other, "/file", 100) == "text");
}

TEST_CASE("file agent: who does not answer is waited for once, and nobody else suffers",
          "[file_agent]") {
    const bool is_taken = GENERATE(false, true);
    Asked asked({300ms, 3000ms, 0ms});
    std::filesystem::create_directories(asked.host.root() + "/silent");
    const SilentFileSystem silent(asked.host.root() + "/silent", "silent", is_taken);
    if (!silent.ready()) {
        WARN("a file system that does not answer needs root");
        return;
    }
    REQUIRE(asked.answers_in_the_end());
    const pid_t agent = asked.root.agent->pid();
    const FileRoot hangs = asked.root_of(silent, 1);
    const std::string path = asked.host.root() + "/silent/file";

    auto since = Steady::now();
    CHECK(code_of(read_rooted(hangs, path, 100)) == no_answer);
    CHECK(Steady::now() - since >= 300ms);
    CHECK(Steady::now() - since < 1500ms);
    CHECK(asked.answers_in_the_end());
    CHECK(asked.root.agent->pid() != agent);

    since = Steady::now();
    CHECK(code_of(read_rooted(hangs, path, 100)) == no_answer);
    CHECK(Steady::now() - since < 300ms);
    // After a while it may have come to its senses.
    asked.later = 6s;
    since = Steady::now();
    CHECK(code_of(read_rooted(hangs, path, 100)) == no_answer);
    CHECK(Steady::now() - since >= 300ms);
}

TEST_CASE("file agent: those who hang are few, whatever ends them", "[file_agent]") {
    Asked asked({100ms, 20000ms, 0ms});
    std::filesystem::create_directories(asked.host.root() + "/silent");
    {
        const SilentFileSystem silent(asked.host.root() + "/silent", "silent", true);
        if (!silent.ready()) {
            WARN("a file system that does not answer needs root");
            return;
        }
        for (std::uint32_t whom = 1; whom <= 4; ++whom) {
            REQUIRE(asked.answers_in_the_end());
            (void)read_rooted(asked.root_of(silent, whom), asked.host.root() + "/silent/x", 100);
        }
        CHECK_FALSE(asked.is_answered());
        CHECK(asked.root.agent->pid() == 0);
    }
    CHECK(asked.answers_in_the_end());
}

TEST_CASE("file agent: all who do not answer together take a share of the time", "[file_agent]") {
    Asked asked({400ms, 600ms, 0ms});
    std::filesystem::create_directories(asked.host.root() + "/silent");
    const SilentFileSystem silent(asked.host.root() + "/silent", "silent", false);
    if (!silent.ready()) {
        WARN("a file system that does not answer needs root");
        return;
    }
    REQUIRE(asked.answers_in_the_end());
    asked.later += 1h;
    (void)read_rooted(asked.root_of(silent, 1), asked.host.root() + "/silent/x", 100);
    CHECK_FALSE(asked.is_answered());
    // A twentieth of it is for waiting.
    asked.later += 3s;
    CHECK_FALSE(asked.is_answered());
    asked.later += 10s;
    CHECK(asked.answers_in_the_end());
}

TEST_CASE("file agent: a dockerd whose files do not answer hides no other's", "[file_agent]") {
    const SilentFileSystem silent("/etc", "dockerd", true);
    if (!silent.ready()) {
        WARN("a file system that does not answer needs root");
        return;
    }
    const FakeHost host;
    host.write("/var/lib/docker/containers/" + full_id('a') + "/config.v2.json",
               R"({"Name":"/web"})");
    const AgentLimits limits{500ms, 2000ms, 0ms};
    const FileAgents agents{std::make_shared<FileAgent>(limits),
                            std::make_shared<FileAgent>(limits)};
    DockerMetadata docker(ProcFs("/proc", agents), host.root());
    for (int tries = 0; tries < 100 && !docker.look_up({full_id('a'), 0}); ++tries) {
        std::this_thread::sleep_for(50ms);
    }
    const auto since = Steady::now();
    CHECK_FALSE(docker.look_up({full_id('b'), 0}));
    CHECK(Steady::now() - since < 5s);
    for (int tries = 0; tries < 100 && !docker.look_up({full_id('a'), 0}); ++tries) {
        std::this_thread::sleep_for(50ms);
    }
    const auto found = docker.look_up({full_id('a'), 0});
    REQUIRE(found);
    CHECK(found->name == "web");
    CHECK(agents.host->unanswered() + agents.others->unanswered() > 0);
}
