// Tells what changes in a container's directory, by inotify.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "read/inotify.h"

namespace twinlog {

class DirectoryWatch {
 public:
    // What happened since the last look.
    struct Changes {
        bool content = false;  // some file was written to
        bool names = false;    // log files were made, renamed or removed
        bool info = false;     // container.json was replaced
        bool removed = false;  // the directory itself is gone

        [[nodiscard]] bool any() const { return content || names || info || removed; }
    };
    enum class Wake : std::uint8_t { changed, stop };

    // Events begin at this call. info_name is the file of which Changes::info tells.
    static Result<DirectoryWatch> open(const std::string& path, std::string info_name);

    // Readable when drain() may have something to tell.
    [[nodiscard]] int fd() const { return inotify_.fd(); }

    // Adds to changes; never blocks.
    Status drain(Changes& changes);
    // Blocks until drain() has something to tell, stop_fd is readable, or output_fd has lost its
    // reader (stop, both). -1 stands for no such descriptor.
    Result<Wake> wait(int stop_fd, int output_fd) const;

 private:
    DirectoryWatch(Inotify inotify, std::string path, std::string info_name)
        : inotify_(std::move(inotify)), path_(std::move(path)), info_name_(std::move(info_name)) {}

    Inotify inotify_;
    std::string path_;
    std::string info_name_;
};

}  // namespace twinlog
