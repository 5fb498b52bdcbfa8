// Finds containers in a store by what a user calls them. Needs no daemon and no lock.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/container_info.h"

namespace twinlog {

struct CatalogItem {
    std::string directory;  // path of the container's directory
    ContainerInfo info;
};

struct Catalog {
    // Newest start first. A log whose container.json is gone has its id for a name.
    std::vector<CatalogItem> containers;
    std::vector<Error> unreadable;  // directories whose container.json could not be read
};

// The directory that one of Catalog::unreadable is about.
std::string directory_of(const Error& unreadable);

// All containers of the store at this path.
Result<Catalog> read_catalog(const std::string& store);

// The container with this id or name, else the only one whose id begins with it. Among several of
// one name a running one is preferred, then the one that started last. The error says "No such
// container".
Result<CatalogItem> find_container(const Catalog& catalog, std::string_view wanted);

}  // namespace twinlog
