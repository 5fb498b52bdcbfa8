// inotify(7): what changes in directories, as events one after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace twinlog {

class Inotify {
 public:
    struct Event {
        int watch = -1;
        std::uint32_t mask = 0;
        std::string_view name;  // of what changed in the directory; empty for itself

        [[nodiscard]] bool is(std::uint32_t any_of) const { return (mask & any_of) != 0; }
    };

    // subject: what is followed, for errors.
    static Result<Inotify> open(std::string subject);

    // The number of the watch. The error says what limit was met.
    Result<int> add(const std::string& path, std::uint32_t events);
    // Readable when drain() has something to tell.
    [[nodiscard]] int fd() const { return fd_.get(); }
    // Calls take for all events that are there; never blocks. The first error of take ends it.
    Status drain(const std::function<Status(const Event&)>& take);

 private:
    Inotify(UniqueFd fd, std::string subject) : fd_(std::move(fd)), subject_(std::move(subject)) {}

    UniqueFd fd_;
    std::string subject_;
};

}  // namespace twinlog
