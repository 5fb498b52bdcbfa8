// Reads files as another process sees them, without ever being led out of its root directory.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "container/file_agent.h"
#include "container/metadata.h"

namespace twinlog {

// A root directory and the user on whose word its files are read.
struct FileRoot {
    std::string directory;  // "/" for the host, /proc/PID/root for another process
    // Not 0: only files of this user are read, so that nobody makes root read what he may not.
    uid_t owner = 0;
    // Who reads them, and on account of whom. None: whoever calls, however long that takes.
    std::shared_ptr<FileAgent> agent;
    Whom whom;
};

// Fails where the kernel or a sandbox takes away what the others need, and containers get no names.
Status check_rooted();

// All that fd holds. Fails if that is more than limit bytes; subject names the file in the error.
Result<std::string> read_at_most(const UniqueFd& fd, std::size_t limit, const std::string& subject);

// Contents of the regular file at path, which is absolute within root: symbolic links, ".."
// included, end inside root (openat2(2), RESOLVE_IN_ROOT). Fails if it is larger than limit bytes,
// is no regular file (a FIFO does not block), or belongs to someone else.
Result<std::string> read_rooted(const FileRoot& root, const std::string& path, std::size_t limit);

// Path by which the host sees the directory at path within root; empty if it does not. host: where
// its root is.
Result<std::string> path_on_host(const FileRoot& root, const std::string& path,
                                 const std::string& host);

// Names in the directory at path, at most limit of them, in no order.
Result<std::vector<std::string>> list_rooted(const FileRoot& root, const std::string& path,
                                             std::size_t limit);

// As the directory says in which a runtime keeps one for each container. home is a path of this
// process's own: root only says who looks.
Presence presence_of(const FileRoot& root, const std::string& home);

}  // namespace twinlog
