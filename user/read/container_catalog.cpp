// Listing of a store. A user's text is compared with what was listed and never becomes part of a
// path.
#include "read/container_catalog.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "store/layout.h"
#include "store/rotation.h"
#include "store/store.h"

namespace twinlog {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

bool has_log(const std::string& path) {
    const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
    while (directory) {
        const dirent* const item = ::readdir(directory.get());
        if (item == nullptr) break;
        if (parse_rotated_name(item->d_name, layout::log_file)) return true;
    }
    return false;
}

std::int64_t start_of(const ContainerInfo& info) {
    return info.started_ns != 0 ? info.started_ns : info.captured_since_ns;
}

}  // namespace

std::string directory_of(const Error& unreadable) {
    return unreadable.subject.substr(0, unreadable.subject.rfind('/'));
}

Result<Catalog> read_catalog(const std::string& store) {
    const std::string path = layout::containers_directory(store);
    const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
    if (!directory) return fail(unreadable_store(store, errno));
    Catalog catalog;
    errno = 0;
    while (const dirent* const item = ::readdir(directory.get())) {
        const std::string name = item->d_name;
        if (name.starts_with('.')) continue;
        std::string container = path + "/" + name;
        Result<ContainerInfo> info = read_container_info(container);
        if (info) {
            catalog.containers.push_back({std::move(container), std::move(*info)});
        } else if (info.error().code != ENOENT && info.error().code != ENOTDIR) {
            catalog.unreadable.push_back(std::move(info).error());
        } else if (safe_id(name) && has_log(container)) {
            catalog.containers.push_back({std::move(container), undescribed(name)});
        }
        errno = 0;
    }
    if (errno != 0) return fail(unreadable_store(store, errno));
    std::sort(catalog.containers.begin(), catalog.containers.end(),
              [](const CatalogItem& a, const CatalogItem& b) {
                  const std::int64_t a_start = start_of(a.info);
                  const std::int64_t b_start = start_of(b.info);
                  return a_start != b_start ? a_start > b_start : a.info.id < b.info.id;
              });
    return catalog;
}

Result<CatalogItem> find_container(const Catalog& catalog, std::string_view wanted) {
    if (wanted.empty()) return fail({}, "the name is empty", "`twinlog ps -a` lists all");
    const std::string shown(wanted);
    if (wanted.starts_with('/')) wanted.remove_prefix(1);  // Docker's own form of a name
    const CatalogItem* by_name = nullptr;
    const CatalogItem* by_prefix = nullptr;
    bool several = false;
    for (const CatalogItem& item : catalog.containers) {
        if (wanted.empty()) break;
        if (item.info.id == wanted) return item;
        // Newest first, so the first of a name stays unless another one runs.
        const bool runs = item.info.state == ContainerState::running;
        if (item.info.name == wanted &&
            (by_name == nullptr || (runs && by_name->info.state != ContainerState::running))) {
            by_name = &item;
        }
        if (item.info.id.starts_with(wanted)) {
            several = by_prefix != nullptr;
            by_prefix = &item;
        }
    }
    if (by_name != nullptr) return *by_name;
    if (several) {
        return fail({}, "multiple IDs found with provided prefix: " + shown, "give more of the id");
    }
    if (by_prefix != nullptr) return *by_prefix;
    // The directory bears the id even where the rest can't be read.
    for (const Error& error : catalog.unreadable) {
        const std::string directory = directory_of(error);
        const std::string_view id = std::string_view(directory).substr(directory.rfind('/') + 1);
        if (!wanted.empty() && id.starts_with(wanted)) return fail(error);
    }
    return fail({}, "No such container: " + shown, "`twinlog ps -a` lists all");
}

}  // namespace twinlog
