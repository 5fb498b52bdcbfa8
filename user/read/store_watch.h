// Tells which containers of a store are new, started again, changed or removed, by inotify.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "read/inotify.h"

namespace twinlog {

class StoreWatch {
 public:
    struct Changes {
        // Directories of containers; in changed some that have no container.json (yet).
        std::vector<std::string> changed;
        std::vector<std::string> removed;
    };

    // Events begin at this call.
    static Result<StoreWatch> open(const std::string& store);

    // Readable when drain() may have something to tell.
    [[nodiscard]] int fd() const { return inotify_.fd(); }
    // What happened since the last look; never blocks.
    Result<Changes> drain();

 private:
    StoreWatch(Inotify inotify, std::string path)
        : inotify_(std::move(inotify)), path_(std::move(path)) {}

    Status watch_all(Changes& changes);
    Status watch_container(const std::string& name, Changes& changes);

    Inotify inotify_;
    std::string path_;                  // of the directory of all containers
    int root_ = -1;                     // its watch
    std::map<int, std::string> names_;  // of containers' directories, by their watch
};

}  // namespace twinlog
