// The directory that holds all logs, and who may write to it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "store/container_info.h"

namespace twinlog {

// Whether a container's id can be the name of its directory: a letter or digit, then up to 127
// letters, digits, `_`, `.` and `-`, without "..".
bool safe_id(std::string_view id);

// The way out where the store, or its disk, refuses with this errno.
std::string store_way_out(int code);

// That the store cannot be read, in the same words whoever wants to. code: errno.
Error unreadable_store(const std::string& path, int code);

// Not thread-safe. Who lists or reads logs does so without it: read/container_catalog.h.
class Store {
 public:
    // create: make what is missing, parents too, for the daemon. Otherwise the store must be there.
    static Result<Store> open(const std::string& path, bool create);

    // Makes this process the store's daemon until the object is gone. A second daemon is refused
    // with the first one's pid.
    Status lock();
    // The daemon that holds the lock now, if any; a number left by a dead one does not count. Takes
    // no lock, so it never gets in a daemon's way.
    [[nodiscard]] Result<std::optional<pid_t>> daemon_pid() const;

    // Makes the container's directory and returns its path. Here and below an id that is not
    // safe_id() is an error.
    Result<std::string> make_container(const std::string& id);
    // Ids of all directories of containers, whatever is in them.
    [[nodiscard]] std::vector<std::string> container_ids() const;
    // The container as it was saved last. ENOENT if it never was.
    [[nodiscard]] Result<ContainerInfo> load(const std::string& id) const;
    // The container's directory must be there. Once the container has ended, what is saved survives
    // a power loss; before, only a crash of the daemon, which saves running ones all the time.
    Status save(const ContainerInfo& info);

    [[nodiscard]] const std::string& path() const { return path_; }

 private:
    explicit Store(std::string path) : path_(std::move(path)) {}

    [[nodiscard]] Result<std::string> directory_of(const std::string& id) const;

    std::string path_;
    UniqueFd lock_;
};

}  // namespace twinlog
