// What a runtime knows of its containers, and where it is looked up: never by asking the runtime.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace twinlog {

// Text is hostile, as in ContainerInfo. Empty and 0: unknown. Times are Unix ns.
struct Metadata {
    std::string name;
    std::string image;
    std::map<std::string, std::string> labels;
    std::string log_driver;
    // What the container's log options make attributes of its entries.
    std::map<std::string, std::string> log_attributes;
    bool tty = false;
    std::int64_t created_ns = 0;
    std::int64_t started_ns = 0;  // may be the previous run's: runtimes write it after the start
    std::string runtime;
    // The directory that the runtime keeps for this container as long as it exists, by a path of
    // the host.
    std::string home;
    // Host pid of init as the runtime says, while it runs. None where it is unknown or cannot be
    // believed.
    std::optional<std::uint32_t> state_pid;
    // The user on whose word all this is.
    std::optional<uid_t> owner;

    bool operator==(const Metadata&) const = default;
};

// Whether a container exists, running or not.
enum class Presence : std::uint8_t {
    unknown,  // nobody can tell
    there,
    removed,  // its runtime's own list of containers lacks it
};

// As the directory says in which a runtime keeps one for each container; home: Metadata::home.
Presence presence_of(const std::string& home);

// The container that is asked about.
struct ContainerRef {
    std::string id;
    std::uint32_t init_pid = 0;  // as the host sees it; 0: unknown or gone
};

class MetadataSource {
 public:
    MetadataSource() = default;
    MetadataSource(const MetadataSource&) = delete;
    MetadataSource& operator=(const MetadataSource&) = delete;
    MetadataSource(MetadataSource&&) = delete;
    MetadataSource& operator=(MetadataSource&&) = delete;
    virtual ~MetadataSource() = default;

    // None if this source does not know the container (yet). A result without a name says which
    // runtime it is and no more.
    virtual std::optional<Metadata> look_up(const ContainerRef& container) = 0;

    // Ids of the containers that text names: the one with that id, else those with that name, else
    // those whose id begins with it. Sorted, each once.
    virtual std::vector<std::string> resolve(const std::string& text) = 0;

    // For a container of this source of which nothing was ever looked up.
    virtual Presence presence(const ContainerRef& container) {
        (void)container;
        return Presence::unknown;
    }
};

// One of the containers that resolve() chooses from.
struct NamedContainer {
    std::string id;
    std::string name;
};

std::vector<std::string> matching_ids(const std::vector<NamedContainer>& containers,
                                      const std::string& text);

}  // namespace twinlog
