#include "container/cgroup_owner.h"

#include <sys/stat.h>

#include <array>

namespace twinlog {

namespace {

// Where the hierarchies that name containers are mounted below the usual directory
// (naming_cgroup()).
constexpr std::array<const char*, 4> hierarchies{"", "/unified", "/memory", "/pids"};

}  // namespace

std::optional<uid_t> delegated_to(const std::string& group, const std::string& mounts) {
    if (!group.starts_with('/') || group.find("/..") != std::string::npos) return std::nullopt;
    struct stat found {};
    for (const char* hierarchy : hierarchies) {
        const std::string mount = mounts + hierarchy;
        for (std::size_t end = group.rfind('/'); end != 0; end = group.rfind('/', end - 1)) {
            const std::string above = mount + group.substr(0, end);
            if (::stat(above.c_str(), &found) == 0 && found.st_uid != 0) return found.st_uid;
        }
    }
    return std::nullopt;
}

}  // namespace twinlog
