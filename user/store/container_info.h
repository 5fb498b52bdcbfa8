// What twinlog knows about a container: the contents of container.json.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/entry.h"

namespace twinlog {

enum class ContainerState : std::uint8_t { running, ended };

// Where the log's last entry of a stream ends. What a reader finds less than that is missing.
struct LogEnd {
    std::uint32_t run = 0;       // 0: there is no entry, or it is not known
    std::uint64_t position = 0;  // in the stream's run, behind the entry's last byte
    // No entry of the other stream came after it: of that stream rotation may have taken all, of
    // this one never.
    bool last = false;

    bool operator==(const LogEnd&) const = default;
};

// Counters of one of a container's two streams, over all its runs. Indexed by Source.
struct StreamCounters {
    std::string kind;  // what the file is: pipe, fifo, tty, file, socket, null, other; empty: none
    std::uint64_t bytes = 0;         // written by the container, lost ones included
    std::uint64_t lost = 0;          // of these, not in the log
    std::uint64_t gaps = 0;          // number of places where they are missing
    std::uint64_t skipped = 0;       // of bytes: rotated out before they were in a file
    std::int64_t last_write_ns = 0;  // Unix time; 0: never
    LogEnd end;

    bool operator==(const StreamCounters&) const = default;
};

// Text fields come from the container or its runtime and are hostile: they may hold control bytes
// and are escaped (base/escape.h) wherever a person sees them. Times are Unix ns, 0 for unknown.
struct ContainerInfo {
    std::string id;    // 64 hex digits for Docker and its kin, else what names it best
    std::string name;  // without Docker's leading slash; the id's first 12 characters if unknown
    std::string image;
    std::string runtime;  // docker, podman, containerd, …; empty: unknown
    std::string log_driver;
    std::string home;    // directory that its runtime keeps for it while it exists
    std::string cgroup;  // path below the cgroup mount
    std::map<std::string, std::string> labels;
    // What the container's own log options make attributes of its entries.
    std::map<std::string, std::string> log_attributes;
    bool tty = false;
    // The user whose container it is: nobody else's runs go into its log, but root's.
    std::optional<std::uint32_t> owner;
    std::uint32_t init_pid = 0;  // as the host sees it
    std::uint32_t run = 0;       // which start of the container this is, from 1
    bool from_start = false;     // capture began before the run's first instruction
    std::int64_t created_ns = 0;
    std::int64_t started_ns = 0;
    std::int64_t captured_since_ns = 0;  // of the present run
    std::int64_t ended_ns = 0;
    // The latest time in the log that earlier ones follow, as the clock was set back: what is
    // looked for after it is in order.
    std::int64_t set_back_ns = 0;
    ContainerState state = ContainerState::running;
    std::array<StreamCounters, 2> streams;

    bool operator==(const ContainerInfo&) const = default;
};

// What is known of a container whose container.json is not there or cannot be read: it is called by
// its id, and does not run.
ContainerInfo undescribed(const std::string& id);

// When something was heard of its last run for the last time, in ns of Unix time; 0: never.
std::int64_t last_known_ns(const ContainerInfo& info);

std::string to_json(const ContainerInfo& info);
// subject names the file in the error. Unknown members are ignored; id must be there.
Result<ContainerInfo> container_info_from_json(std::string_view json, const std::string& subject);

// Reads container.json of a container's directory; the error's code is ENOENT if there is none.
Result<ContainerInfo> read_container_info(const std::string& directory);

}  // namespace twinlog
