// How a container is chosen by name, id or prefix; the order is the docker command line's.
#include "container/metadata.h"

#include <algorithm>

namespace twinlog {

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
