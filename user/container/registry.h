// From the facts of a container's start to what is known about the container.
#pragma once

#include <cstdint>
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
    std::vector<std::string> cgroup;      // names of its cgroup, leaf first
    bool by_pid = false;                  // asked for by pid: needs not be a container
};

// Whether the id is of a process or namespace alone, so that no other start will ever have it.
bool is_of_one_start(std::string_view id);

class Registry {
 public:
    // Sources are asked in this order; the first that knows a name is believed.
    // cgroups: where their hierarchies are mounted.
    Registry(ProcFs proc, std::vector<std::unique_ptr<MetadataSource>> sources,
             std::string cgroups = "/sys/fs/cgroup")
        : proc_(std::move(proc)), sources_(std::move(sources)), cgroups_(std::move(cgroups)) {}

    // With all sources there are.
    static Registry of_host(const std::string& proc_root = "/proc");

    // Who the container is. Fills all but run, from_start, captured_since_ns and streams. Nothing
    // if it is none. Two processes that live at the same time never get the same id: who comes
    // second, or is not the one that Docker says is the container's first process, or was
    // started by a user whom that Docker does not belong to, has only borrowed the name of its
    // cgroup and is named by its pid namespace (or pid).
    std::optional<ContainerInfo> describe(const StartFacts& facts);

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

    // Ids of the containers on this host that text names (name, id or id prefix), of all sources;
    // sorted. More than one: ambiguous.
    std::vector<std::string> resolve(const std::string& text);

 private:
    struct Init {
        std::uint32_t pid = 0;
        std::uint64_t start_ticks = 0;
    };

    std::optional<Metadata> look_up(const ContainerRef& container);
    // Whether another living process is that container's init.
    [[nodiscard]] bool contested(const std::string& id, const Init& init,
                                 const std::optional<Metadata>& metadata) const;
    // Whether the group that bears the id is one that a stranger to the container's runtime could
    // make.
    [[nodiscard]] bool made_by_stranger(const std::string& id, const std::string& cgroup,
                                        const std::optional<ProcessStat>& init,
                                        const std::optional<Metadata>& metadata) const;

    ProcFs proc_;
    std::vector<std::unique_ptr<MetadataSource>> sources_;
    std::string cgroups_;
    std::map<std::string, Init> inits_;
};

}  // namespace twinlog
