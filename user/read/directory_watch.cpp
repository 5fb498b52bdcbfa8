// What the events of a container's directory mean.
#include "read/directory_watch.h"

#include <poll.h>
#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <utility>

namespace twinlog {

Result<DirectoryWatch> DirectoryWatch::open(const std::string& path, std::string info_name) {
    auto inotify = Inotify::open(path);
    if (!inotify) return fail(std::move(inotify).error());
    constexpr std::uint32_t events = IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                     IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (auto added = inotify->add(path, events); !added) return fail(std::move(added).error());
    return DirectoryWatch(std::move(*inotify), path, std::move(info_name));
}

Status DirectoryWatch::drain(Changes& changes) {
    return inotify_.drain([&](const Inotify::Event& event) -> Status {
        if (event.is(IN_Q_OVERFLOW)) {
            changes.content = changes.names = changes.info = true;
        } else if (event.is(IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) {
            changes.removed = true;
        } else if (event.name.ends_with(".tmp")) {
            // A file in the making: it will be renamed.
        } else if (event.name == info_name_) {
            changes.info = true;
        } else if (event.is(IN_MODIFY)) {
            changes.content = true;
        } else {
            changes.names = true;
        }
        return {};
    });
}

Result<DirectoryWatch::Wake> DirectoryWatch::wait(int stop_fd, int output_fd) const {
    // poll() passes over negative descriptors, and tells of errors whatever is asked for.
    std::array<pollfd, 3> fds = {
        {{inotify_.fd(), POLLIN, 0}, {stop_fd, POLLIN, 0}, {output_fd, 0, 0}}};
    while (::poll(fds.data(), fds.size(), -1) < 0) {
        if (errno != EINTR) return fail_errno(path_, "cannot follow");
    }
    return fds[1].revents != 0 || fds[2].revents != 0 ? Wake::stop : Wake::changed;
}

}  // namespace twinlog
