// Logs with a writer: their files are removed only in agreement with it.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "store/rotation.h"

namespace twinlog {

// Thread-safe. A log is named by the path of its live file.
class ActiveLogs {
 public:
    // The files of a log that is to be written to. The same as before while they are still in use,
    // by a writer or for compression.
    std::shared_ptr<Rotation> rotation_of(FileSystem& files, const std::string& log, int max_file,
                                          const LogFormat& format);
    [[nodiscard]] bool contains(const std::string& log) const;
    // Removes the file with this path and inode. Of a log that has a writer only what is rotated;
    // nobody becomes its writer meanwhile. False: it stays.
    bool remove(const std::string& log, const std::string& path, ino_t inode);

 private:
    [[nodiscard]] std::shared_ptr<Rotation> find(const std::string& log) const;

    mutable std::mutex guard_;
    std::map<std::string, std::weak_ptr<Rotation>> logs_;
};

}  // namespace twinlog
