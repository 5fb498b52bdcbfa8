#include "read/store_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "store/layout.h"

namespace twinlog {

Result<StoreWatch> StoreWatch::open(const std::string& store) {
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd.valid()) {
        return fail_errno(store, "cannot follow",
                          "fs.inotify.max_user_instances may be too low for this user");
    }
    StoreWatch watch(std::move(fd), layout::containers_directory(store));
    watch.root_ = ::inotify_add_watch(
        watch.fd_.get(), watch.path_.c_str(),
        IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR);
    if (watch.root_ < 0) return fail_errno(watch.path_, "cannot follow");
    Changes known;
    if (Status watched = watch.watch_all(known); !watched) return fail(watched.error());
    return watch;
}

Status StoreWatch::watch_all(Changes& changes) {
    std::error_code error;
    for (std::filesystem::directory_iterator item(path_, error), end; !error && item != end;
         item.increment(error)) {
        Status watched = watch_container(item->path().filename().string(), changes);
        if (!watched) return watched;
    }
    if (error) return fail(Error{path_, "cannot list the containers", error.value(), {}});
    return {};
}

// Its container.json may have been there before the watch: it counts as changed.
Status StoreWatch::watch_container(const std::string& name, Changes& changes) {
    if (name.starts_with('.')) return {};
    const std::string directory = path_ + "/" + name;
    const int watch = ::inotify_add_watch(fd_.get(), directory.c_str(), IN_MOVED_TO | IN_ONLYDIR);
    if (watch < 0) {
        if (errno == ENOENT || errno == ENOTDIR) return {};
        return fail_errno(
            directory, "cannot follow",
            errno == ENOSPC ? "fs.inotify.max_user_watches is too low for this user" : "");
    }
    names_[watch] = name;
    changes.changed.push_back(directory);
    return {};
}

Result<StoreWatch::Changes> StoreWatch::drain() {
    Changes changes;
    alignas(inotify_event) std::array<char, 16384> buffer;
    for (;;) {
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return changes;
        if (got <= 0) return fail_errno(path_, "cannot follow");
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char* const text = buffer.data() + at + sizeof event;
            const std::string name(text, event.len > 0 ? ::strnlen(text, event.len) : 0);
            at += sizeof event + event.len;

            Status watched;
            if ((event.mask & IN_Q_OVERFLOW) != 0) {
                watched = watch_all(changes);
            } else if (event.wd == root_) {
                if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
                    watched = watch_container(name, changes);
                } else if ((event.mask & (IN_DELETE | IN_MOVED_FROM)) != 0) {
                    changes.removed.push_back(path_ + "/" + name);
                }
            } else if ((event.mask & IN_IGNORED) != 0) {
                names_.erase(event.wd);
            } else if (name == layout::info_file) {
                if (const auto found = names_.find(event.wd); found != names_.end()) {
                    changes.changed.push_back(path_ + "/" + found->second);
                }
            }
            if (!watched) return fail(watched.error());
        }
    }
}

}  // namespace twinlog
