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

#include "base/clock.h"
#include "format/log_format.h"
#include "store/layout.h"
#include "store/pod_path.h"
#include "store/removal.h"
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
    std::vector<std::string> logs;  // paths of their live files, whether they are there or not
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
    container.logs.push_back(log);
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

std::int64_t last_written(const StoredContainer& container) {
    std::int64_t last = 0;
    for (const StoredFile& file : container.files) last = std::max(last, file.written_ns);
    return last;
}

std::vector<StoredContainer> survey(const Retention& retention) {
    std::vector<StoredContainer> containers;
    const std::string all = layout::containers_directory(retention.store);
    for (const std::string& id : names_in(all)) {
        if (!safe_id(id)) continue;
        StoredContainer container;
        container.directory = all + "/" + id;
        auto info = read_container_info(container.directory);
        if (info && info->id != id) continue;
        const bool described = info.has_value();
        container.info = described ? std::move(*info) : undescribed(id);
        const LogOwner owner{id, container.info.name, container.info.runtime,
                             container.info.labels};
        for (const LogFormat* format : formats()) {
            for (const LogPlace& place : format->places(owner)) {
                if (place.in_pods && retention.pods.empty()) continue;
                add_files(place.in_pods ? retention.pods + "/" + pod_path(retention.pods, place, id)
                                        : container.directory + "/" + place.path,
                          container);
            }
        }
        if (!described && container.files.empty()) continue;
        if (!described) container.info.ended_ns = last_written(container);
        containers.push_back(std::move(container));
    }
    return containers;
}

// Whether the log ends in this file.
bool has_end(const StoredFile& file, const StoredContainer& container) {
    if (file.bytes == 0) return false;
    return std::none_of(
        container.files.begin(), container.files.end(), [&file](const StoredFile& other) {
            return other.log == file.log && other.number < file.number && other.bytes > 0;
        });
}

// Takes the file from the container's, too. limit: the option that wants it. False: it stays on
// disk, as somebody writes to it by now.
bool remove_file(const StoredFile& gone, StoredContainer& container, ActiveLogs& active,
                 std::string_view limit) {
    const StoredFile file = gone;
    const bool told =
        file.log == container.directory + "/" + layout::log_name(0) && has_end(file, container);
    const auto tell = [&] {
        return save_removal(container.directory,
                            {std::string(limit), wall_time_now(), log_ends(container.info)});
    };
    // Before it is done: a log that is short and says not why is damaged. On a disk that is full
    // there is room only after it.
    const bool was_told = !told || tell();
    const bool removed = active.remove(file.log, file.path, file.inode);
    if (!was_told && removed) (void)tell();
    if (removed) container.bytes -= file.bytes;
    std::erase_if(container.files,
                  [&file](const StoredFile& other) { return other.path == file.path; });
    return removed;
}

bool has_writer(const StoredContainer& container, const ActiveLogs& active) {
    return std::any_of(container.logs.begin(), container.logs.end(),
                       [&active](const std::string& log) { return active.contains(log); });
}

// All files, then the directories as far as they are empty.
void remove_container(const StoredContainer& container) {
    for (const StoredFile& file : container.files) ::unlink(file.path.c_str());
    for (const std::string& name : names_in(container.directory)) {
        ::unlink((container.directory + "/" + name).c_str());
    }
    ::rmdir(container.directory.c_str());
    for (const std::string& log : container.logs) {
        const std::string directory = log.substr(0, log.rfind('/'));
        if (directory == container.directory) continue;
        release_pod_path(log, container.info.id);
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

// The one with the most bytes of those that have rotated files.
StoredContainer* biggest(std::vector<StoredContainer>& containers) {
    StoredContainer* found = nullptr;
    for (StoredContainer& container : containers) {
        if (oldest_rotated(container) == nullptr) continue;
        if (found == nullptr || container.bytes > found->bytes) found = &container;
    }
    return found;
}

// The one that ended first, of those that have files to which nobody writes.
StoredContainer* first_ended(std::vector<StoredContainer>& containers, const ActiveLogs& active) {
    StoredContainer* found = nullptr;
    for (StoredContainer& container : containers) {
        const bool may_go = container.info.state == ContainerState::ended &&
                            !container.files.empty() && !has_writer(container, active);
        if (!may_go) continue;
        if (found == nullptr || container.info.ended_ns < found->info.ended_ns) found = &container;
    }
    return found;
}

// Returns how many bytes are left.
std::uint64_t shrink(std::vector<StoredContainer>& containers, std::uint64_t max_total,
                     ActiveLogs& active) {
    constexpr std::string_view limit = "max-total";
    std::uint64_t total = 0;
    for (const StoredContainer& container : containers) total += container.bytes;
    const auto remove = [&](StoredContainer& container, const StoredFile& file) {
        const std::uint64_t bytes = file.bytes;
        if (remove_file(file, container, active, limit)) total -= bytes;
    };
    while (total > max_total) {
        if (StoredContainer* const big = biggest(containers)) {
            remove(*big, *oldest_rotated(*big));
        } else if (StoredContainer* const ended = first_ended(containers, active)) {
            remove(*ended, ended->files.front());
        } else {
            break;
        }
    }
    return total;
}

// Nothing is left of it but the word that it was removed, which is for those who still have the
// container.
bool is_empty(const StoredContainer& container) {
    if (!container.files.empty() || container.info.state != ContainerState::ended) return false;
    const auto removal = read_removal(container.directory);
    return removal && removal->explains(log_ends(container.info));
}

}  // namespace

void enforce(const Retention& retention, ActiveLogs& active, const RemovedCheck& removed,
             std::int64_t now_ns) {
    std::vector<StoredContainer> containers = survey(retention);
    std::erase_if(containers, [&](StoredContainer& container) {
        const bool written_to = has_writer(container, active);
        const ContainerInfo& info = container.info;
        const bool may_go = retention.keep_removed_ns >= 0 && !written_to &&
                            info.state == ContainerState::ended && info.ended_ns != 0 &&
                            now_ns - info.ended_ns >= retention.keep_removed_ns;
        const bool gone = may_go && removed && removed(info);
        if (!gone) {
            const std::vector<StoredFile> files = container.files;
            for (const StoredFile& file : files) {
                if (!is_old(file, container, retention, written_to, now_ns)) continue;
                remove_file(file, container, active, "max-age");
            }
        }
        const bool empty = !gone && !written_to && is_empty(container);
        if (!gone && !(empty && removed && removed(info))) return false;
        remove_container(container);
        return true;
    });
    if (retention.max_total > 0) shrink(containers, retention.max_total, active);
}

std::uint64_t enforce_total(const Retention& retention, ActiveLogs& active) {
    std::vector<StoredContainer> containers = survey(retention);
    return shrink(containers, retention.max_total, active);
}

}  // namespace twinlog
