// Walks over the store and removes. Nothing here follows a link.
#include "store/retention.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "format/log_format.h"
#include "store/layout.h"
#include "store/store.h"

namespace twinlog {

namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, CloseDirectory> open(::opendir(directory.c_str()));
    while (open) {
        const dirent* const item = ::readdir(open.get());
        if (item == nullptr) break;
        const std::string_view name(item->d_name);
        if (name != "." && name != "..") names.emplace_back(name);
    }
    return names;
}

struct StoredFile {
    std::string path;
    std::string log;  // path of its live file
    int number = 0;
    ino_t inode = 0;
    std::uint64_t bytes = 0;
    std::int64_t written_ns = 0;
};

struct StoredContainer {
    std::string directory;
    ContainerInfo info;
    std::vector<StoredFile> files;
    std::uint64_t bytes = 0;
};

std::int64_t unix_ns(const timespec& time) {
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

void add_files(const std::string& log, StoredContainer& container) {
    const std::size_t slash = log.rfind('/');
    const std::string directory = log.substr(0, slash);
    const std::string live = log.substr(slash + 1);
    for (const std::string& name : names_in(directory)) {
        const auto rotated = parse_rotated_name(name, live);
        if (!rotated) continue;
        StoredFile file{directory + "/" + name, log, rotated->number};
        struct stat status {};
        if (::lstat(file.path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
        file.inode = status.st_ino;
        file.bytes = static_cast<std::uint64_t>(status.st_size);
        file.written_ns = unix_ns(status.st_mtim);
        container.bytes += file.bytes;
        container.files.push_back(std::move(file));
    }
}

std::vector<StoredContainer> survey(const Retention& retention) {
    std::vector<StoredContainer> containers;
    const std::string all = layout::containers_directory(retention.store);
    for (const std::string& id : names_in(all)) {
        if (!safe_id(id)) continue;
        StoredContainer container;
        container.directory = all + "/" + id;
        auto info = read_container_info(container.directory);
        if (!info || info->id != id) continue;
        container.info = std::move(*info);
        const LogOwner owner{id, container.info.name, container.info.runtime,
                             container.info.labels};
        for (const LogFormat* format : formats()) {
            for (const LogPlace& place : format->places(owner)) {
                if (place.in_pods && retention.pods.empty()) continue;
                add_files((place.in_pods ? retention.pods : container.directory) + "/" + place.path,
                          container);
            }
        }
        containers.push_back(std::move(container));
    }
    return containers;
}

void remove_file(const StoredFile& file, const ActiveLogs& active) {
    const auto log = active.find(file.log);
    if (log != active.end()) {
        log->second->remove(file.path, file.inode);
    } else {
        ::unlink(file.path.c_str());
    }
}

bool has_writer(const StoredContainer& container, const ActiveLogs& active) {
    return std::any_of(container.files.begin(), container.files.end(),
                       [&active](const StoredFile& file) { return active.contains(file.log); });
}

// All files, then the directories as far as they are empty.
void remove_container(const StoredContainer& container) {
    for (const StoredFile& file : container.files) ::unlink(file.path.c_str());
    for (const std::string& name : names_in(container.directory)) {
        ::unlink((container.directory + "/" + name).c_str());
    }
    ::rmdir(container.directory.c_str());
    for (const StoredFile& file : container.files) {
        const std::string directory = file.log.substr(0, file.log.rfind('/'));
        if (directory == container.directory) continue;
        ::rmdir(directory.c_str());
        ::rmdir(directory.substr(0, directory.rfind('/')).c_str());
    }
}

bool is_old(const StoredFile& file, const StoredContainer& container, const Retention& retention,
            bool written_to, std::int64_t now_ns) {
    if (retention.max_age_ns <= 0 || now_ns - file.written_ns < retention.max_age_ns) return false;
    const bool ended = container.info.state == ContainerState::ended;
    return file.number > 0 || (ended && !written_to);
}

// The highest number of each log is its oldest file; of several logs the one written to first.
const StoredFile* oldest_rotated(const StoredContainer& container) {
    const StoredFile* oldest = nullptr;
    for (const StoredFile& file : container.files) {
        if (file.number == 0) continue;
        const bool older =
            oldest == nullptr || (file.log == oldest->log ? file.number > oldest->number
                                                          : file.written_ns < oldest->written_ns);
        if (older) oldest = &file;
    }
    return oldest;
}

// Returns how many bytes are left.
std::uint64_t shrink(std::vector<StoredContainer>& containers, std::uint64_t max_total,
                     const ActiveLogs& active) {
    std::uint64_t total = 0;
    for (const StoredContainer& container : containers) total += container.bytes;
    while (total > max_total) {
        StoredContainer* biggest = nullptr;
        for (StoredContainer& container : containers) {
            if (oldest_rotated(container) == nullptr) continue;
            if (biggest == nullptr || container.bytes > biggest->bytes) biggest = &container;
        }
        if (biggest == nullptr) break;
        const StoredFile gone = *oldest_rotated(*biggest);
        remove_file(gone, active);
        std::erase_if(biggest->files,
                      [&gone](const StoredFile& file) { return file.path == gone.path; });
        biggest->bytes -= gone.bytes;
        total -= gone.bytes;
    }
    return total;
}

}  // namespace

void enforce(const Retention& retention, const ActiveLogs& active, const RemovedCheck& removed,
             std::int64_t now_ns) {
    std::vector<StoredContainer> containers = survey(retention);
    std::erase_if(containers, [&](StoredContainer& container) {
        const bool written_to = has_writer(container, active);
        const ContainerInfo& info = container.info;
        const bool may_go = retention.keep_removed_ns >= 0 && !written_to &&
                            info.state == ContainerState::ended && info.ended_ns != 0 &&
                            now_ns - info.ended_ns >= retention.keep_removed_ns;
        if (may_go && removed && removed(info)) {
            remove_container(container);
            return true;
        }
        std::erase_if(container.files, [&](const StoredFile& file) {
            if (!is_old(file, container, retention, written_to, now_ns)) return false;
            remove_file(file, active);
            container.bytes -= file.bytes;
            return true;
        });
        return false;
    });
    if (retention.max_total > 0) shrink(containers, retention.max_total, active);
}

std::uint64_t enforce_total(const Retention& retention, const ActiveLogs& active) {
    std::vector<StoredContainer> containers = survey(retention);
    return shrink(containers, retention.max_total, active);
}

}  // namespace twinlog
