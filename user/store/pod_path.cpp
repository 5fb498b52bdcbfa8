#include "store/pod_path.h"

#include <unistd.h>

#include <cerrno>

#include "base/file_system.h"
#include "base/result.h"
#include "store/layout.h"

namespace twinlog {

namespace {

constexpr std::size_t max_owner_size = 4096;

std::string owner_file(const std::string& log) {
    const std::size_t name = log.rfind('/') + 1;
    return log.substr(0, name) + "." + log.substr(name) + ".owner";
}

// Empty: nobody's, as are logs of versions that knew no owners.
Result<std::string> owner_of(const std::string& log) {
    auto owner = read_file(owner_file(log), max_owner_size);
    if (!owner && owner.error().code == ENOENT) return std::string();
    return owner;
}

}  // namespace

std::string pod_path(const std::string& pods, const LogPlace& place, const std::string& id) {
    if (place.otherwise.empty()) return place.path;
    const auto owner = owner_of(pods + "/" + place.path);
    return owner && (owner->empty() || *owner == id) ? place.path : place.otherwise;
}

std::string claim_pod_path(const std::string& pods, const LogPlace& place, const std::string& id) {
    std::string path = pod_path(pods, place, id);
    const std::string log = pods + "/" + path;
    const bool contested = !place.otherwise.empty() && path == place.path;
    if (const auto owner = owner_of(log); contested && owner && owner->empty()) {
        (void)write_file_atomically(owner_file(log), id, layout::file_mode);
    }
    return path;
}

void release_pod_path(const std::string& log, const std::string& id) {
    const auto owner = owner_of(log);
    if (owner && *owner == id) ::unlink(owner_file(log).c_str());
}

}  // namespace twinlog
