// Names and labels of Docker's containers, from dockerd's files: config.v2.json and hostconfig.json
// (moby daemon/container). dockerd is not asked, so it need not run.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "container/metadata.h"
#include "container/process.h"
#include "container/rooted_file.h"

namespace twinlog {

// What a dockerd's command line says about where its data is; empty where it says nothing.
struct DockerdArguments {
    std::string data_root;
    std::string config_file;

    bool operator==(const DockerdArguments&) const = default;
};

DockerdArguments parse_dockerd_arguments(const std::vector<std::string>& arguments);

// Reads the two files' contents; hostconfig may be empty. None if config is no JSON object.
std::optional<Metadata> parse_docker_metadata(std::string_view config, std::string_view hostconfig);

// The data roots of all dockerds of the host, wherever they run: found by process name, remembered,
// and looked for again when a container is not found. That takes a walk through all processes: one
// a second for all containers together, and ever fewer for one that stays unknown.
//
// Anybody can call a process dockerd. One that runs as root outside of containers is believed for
// every container. Any other (rootless, or in a container) is believed only for containers whose
// parent process has the same user, pid namespace and mount namespace as that dockerd.
class DockerMetadata : public MetadataSource {
 public:
    using Clock = std::function<std::chrono::steady_clock::time_point()>;

    // host_root: where the host's files are seen.
    explicit DockerMetadata(ProcFs proc, std::string host_root = "/",
                            Clock clock = std::chrono::steady_clock::now);

    std::optional<Metadata> look_up(const ContainerRef& container) override;
    std::vector<std::string> resolve(const std::string& text) override;
    // Removed: a dockerd that runs has no such container, and no other root has it.
    Presence presence(const ContainerRef& container) override;

 private:
    // Who a process is, as far as it says whose containers it may describe.
    struct Party {
        uid_t uid = 0;
        std::uint32_t pidns = 0;
        std::uint32_t mntns = 0;

        bool operator==(const Party&) const = default;
    };
    struct DataRoot {
        std::uint32_t pid = 0;          // of the dockerd; 0: the usual place, without one
        std::uint64_t start_ticks = 0;  // guards against reuse of the pid
        bool needs_process = false;     // its files are only seen through it
        FileRoot files;
        std::string path;
        bool trusted = false;
        Party party;
    };

    [[nodiscard]] Result<Party> party_of(std::uint32_t pid) const;
    [[nodiscard]] std::optional<DataRoot> examine(std::uint32_t pid) const;
    // Fails only where nobody answered.
    [[nodiscard]] Result<std::string> data_root_of(std::uint32_t pid, const FileRoot& files) const;
    // When a container that nobody knows is worth the next walk through all processes.
    struct Unknown {
        std::chrono::steady_clock::time_point due;
        std::chrono::seconds pause{};
    };
    // Whether it is worth one now.
    bool is_due(const std::string& id);
    // Looks for dockerds that are not known and drops those that are gone. True if there are new
    // ones.
    bool scan();
    [[nodiscard]] bool reachable(const DataRoot& root) const;
    // Whether what it says can be believed for a container with that parent.
    [[nodiscard]] bool usable(const DataRoot& root, const Result<Party>& parent) const;
    [[nodiscard]] std::optional<Metadata> read(const DataRoot& root, const std::string& id) const;
    [[nodiscard]] std::optional<Metadata> read_any(const ContainerRef& container) const;
    [[nodiscard]] std::vector<std::string> resolve_among(const std::string& text,
                                                         bool trusted) const;

    ProcFs proc_;
    std::string host_root_;
    Clock clock_;
    std::vector<DataRoot> roots_;
    std::chrono::steady_clock::time_point next_scan_;
    std::map<std::string, Unknown> unknown_;
};

}  // namespace twinlog
