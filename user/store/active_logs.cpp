#include "store/active_logs.h"

#include <sys/stat.h>
#include <unistd.h>

namespace twinlog {

std::shared_ptr<Rotation> ActiveLogs::rotation_of(FileSystem& files, const std::string& log,
                                                  int max_file, const LogFormat& format) {
    const std::lock_guard lock(guard_);
    std::erase_if(logs_, [](const auto& item) { return item.second.expired(); });
    if (auto rotation = find(log); rotation && rotation->max_file() == max_file) return rotation;
    auto rotation = std::make_shared<Rotation>(files, log, max_file, format);
    logs_[log] = rotation;
    return rotation;
}

std::shared_ptr<Rotation> ActiveLogs::find(const std::string& log) const {
    const auto known = logs_.find(log);
    return known == logs_.end() ? nullptr : known->second.lock();
}

bool ActiveLogs::contains(const std::string& log) const {
    const std::lock_guard lock(guard_);
    return find(log) != nullptr;
}

bool ActiveLogs::remove(const std::string& log, const std::string& path, ino_t inode) {
    std::shared_ptr<Rotation> rotation;
    {
        const std::lock_guard lock(guard_);
        rotation = find(log);
        if (!rotation) {
            struct stat status {};
            return ::lstat(path.c_str(), &status) == 0 && status.st_ino == inode &&
                   ::unlink(path.c_str()) == 0;
        }
    }
    if (path == log) return false;
    rotation->remove(path, inode);
    return true;
}

}  // namespace twinlog
