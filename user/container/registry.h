// From the facts of a container's start to what is known about the container.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "container/cgroup_name.h"
#include "container/metadata.h"
#include "container/process.h"
#include "store/container_info.h"

namespace twinlog {

// What the kernel says of a run's first process. pid is of the host's namespace.
struct StartFacts {
    std::uint32_t pid = 0;
    std::uint64_t start_boottime_ns = 0;  // of the process, CLOCK_BOOTTIME; 0: unknown
    std::int64_t started_ns = 0;          // the same as Unix time; 0: unknown
    std::uint64_t pidns = 0;              // inode number of its pid namespace
    std::uint32_t level = 0;              // depth of that namespace, 0 for the host's
    std::uint32_t ns_pid = 0;             // its pid there
    std::vector<std::string> cgroup;      // names of its cgroup, leaf first; 4 of them at most
    bool by_pid = false;                  // asked for by pid: needs not be a container
};

// What the store has of a container with that id, if it has a log of one.
using StoredContainers = std::function<std::optional<ContainerInfo>(const std::string& id)>;

// Whether the id is of a process or namespace alone, so that no other start will ever have it.
bool is_of_one_start(std::string_view id);

class Registry {
 public:
    // Sources are asked in this order; the first that knows a name is believed, root's before any
    // other user's.
    // cgroups: where their hierarchies are mounted.
    Registry(ProcFs proc, std::vector<std::unique_ptr<MetadataSource>> sources,
             std::string cgroups = "/sys/fs/cgroup")
        : proc_(std::move(proc)), sources_(std::move(sources)), cgroups_(std::move(cgroups)) {}

    // With all sources there are.
    static Registry of_host(const std::string& proc_root = "/proc");

    // Who the container is. Fills all but run, from_start, captured_since_ns and streams. Nothing
    // if it is none. Two processes that live at the same time never get the same id: who comes
    // second, or is not the one that Docker says is the container's first process, or was
    // started by a user whom neither that runtime nor the log with that id belongs to, has only
    // borrowed the name of its cgroup and is named by its pid namespace (or pid).
    std::optional<ContainerInfo> describe(const StartFacts& facts,
                                          const StoredContainers& stored = {});

    // Looks again, for what was not on disk yet or has changed since, such as the name. True if
    // info changed. What cannot be found any more stays as it is.
    bool refresh(ContainerInfo& info);

    // To be told when the process with this id has ended; keeps the memory of ids in bounds.
    void ended(const std::string& id) { inits_.erase(id); }
    // Whether the process is there, be it as a zombie.
    [[nodiscard]] bool exists(std::uint32_t pid, std::uint64_t start_boottime_ns) const;

    // Whether its runtime still has the container, whose process has ended. Takes nobody's silence
    // for an answer: a runtime that does not run may have it.
    Presence presence(const ContainerInfo& info);
    // Whether what its runtime had of it is still where it was. Costs one look; unknown where
    // nothing is known of it, or nobody answers.
    Presence presence_at_home(const ContainerInfo& info);

    // Ids of the containers on this host that text names (name, id or id prefix), of all sources;
    // sorted. More than one: ambiguous.
    std::vector<std::string> resolve(const std::string& text);

 private:
    struct Init {
        std::uint32_t pid = 0;
        std::uint64_t start_ticks = 0;
    };

    // Where the group is that bears the container's id.
    struct Place {
        std::string path;
        bool whole = true;  // false: only the end of its path is known
    };
    struct Owner {
        std::optional<uid_t> user;
        bool is_stranger = false;
    };

    // What that user's runtime says, or else who does say something.
    std::optional<Metadata> look_up(const ContainerRef& container, uid_t owner);
    // Whether another living process is that container's init.
    [[nodiscard]] bool contested(const std::string& id, const Init& init,
                                 const std::optional<Metadata>& metadata) const;
    static Place place_of(const std::string& id, const std::string& cgroup_now,
                          const std::vector<std::string>& names);
    // Whose container it is, or a stranger to its runtime and its log.
    [[nodiscard]] Owner owner_of(const std::string& id, const Place& place,
                                 const std::optional<ProcessStat>& init,
                                 const std::optional<Metadata>& metadata,
                                 const StoredContainers& stored) const;

    ProcFs proc_;
    std::vector<std::unique_ptr<MetadataSource>> sources_;
    std::string cgroups_;
    std::map<std::string, Init> inits_;
};

}  // namespace twinlog
