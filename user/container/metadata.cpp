// How a container is chosen by name, id or prefix; the order is the docker command line's.
#include "container/metadata.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/unique_fd.h"

namespace twinlog {

Presence presence_of(const std::string& home) {
    const std::size_t slash = home.rfind('/');
    if (slash == std::string::npos || slash + 1 == home.size()) return Presence::unknown;
    const std::string all = home.substr(0, slash + 1);
    // Where there is no such directory, its disk may not be mounted.
    const UniqueFd list(::open(all.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!list.valid()) return Presence::unknown;
    struct stat status {};
    if (::fstatat(list.get(), home.c_str() + slash + 1, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        return Presence::there;
    }
    return errno == ENOENT ? Presence::removed : Presence::unknown;
}

std::vector<std::string> matching_ids(const std::vector<NamedContainer>& containers,
                                      const std::string& text) {
    if (text.empty()) return {};
    std::vector<std::string> by_name;
    std::vector<std::string> by_prefix;
    for (const NamedContainer& container : containers) {
        if (container.id == text) return {text};
        if (container.name == text) by_name.push_back(container.id);
        if (container.id.starts_with(text)) by_prefix.push_back(container.id);
    }
    std::vector<std::string>& ids = by_name.empty() ? by_prefix : by_name;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}

}  // namespace twinlog
