#include "read/store_watch.h"

#include <sys/inotify.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "store/layout.h"

namespace twinlog {

Result<StoreWatch> StoreWatch::open(const std::string& store) {
    auto inotify = Inotify::open(store);
    if (!inotify) return fail(std::move(inotify).error());
    StoreWatch watch(std::move(*inotify), layout::containers_directory(store));
    const auto root =
        watch.inotify_.add(watch.path_, IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM |
                                            IN_DELETE_SELF | IN_ONLYDIR);
    if (!root) return fail(root.error());
    watch.root_ = *root;
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
    const auto watch = inotify_.add(directory, IN_MOVED_TO | IN_ONLYDIR);
    if (!watch) {
        if (watch.error().code == ENOENT || watch.error().code == ENOTDIR) return {};
        return fail(watch.error());
    }
    names_[*watch] = name;
    changes.changed.push_back(directory);
    return {};
}

Result<StoreWatch::Changes> StoreWatch::drain() {
    Changes changes;
    const Status drained = inotify_.drain([&](const Inotify::Event& event) -> Status {
        const std::string name(event.name);
        if (event.is(IN_Q_OVERFLOW)) return watch_all(changes);
        if (event.watch == root_) {
            if (event.is(IN_CREATE | IN_MOVED_TO)) return watch_container(name, changes);
            if (event.is(IN_DELETE | IN_MOVED_FROM)) changes.removed.push_back(path_ + "/" + name);
        } else if (event.is(IN_IGNORED)) {
            names_.erase(event.watch);
        } else if (name == layout::info_file) {
            if (const auto found = names_.find(event.watch); found != names_.end()) {
                changes.changed.push_back(path_ + "/" + found->second);
            }
        }
        return {};
    });
    if (!drained) return fail(drained.error());
    return changes;
}

}  // namespace twinlog
