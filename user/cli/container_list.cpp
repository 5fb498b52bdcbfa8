// The store as `ps` and `stats` show it.
#include "cli/container_list.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/docker_time.h"
#include "cli/command.h"
#include "cli/daemon_watch.h"
#include "store/store.h"

namespace twinlog {

void add_format_option(CLI::App& command, std::string& format) {
    command.add_option("--format", format, "table, or json: an object a line")
        ->check(CLI::IsMember({"table", "json"}))
        ->capture_default_str();
}

Result<Catalog> read_catalog_for_people(const std::string& store) {
    auto catalog = read_catalog(store);
    if (!catalog) return catalog;
    for (const Error& error : catalog->unreadable) report(error);

    const bool any_runs = std::any_of(
        catalog->containers.begin(), catalog->containers.end(),
        [](const CatalogItem& item) { return item.info.state == ContainerState::running; });
    if (any_runs) {
        const auto opened = Store::open(store, /*create=*/false);
        if (opened && is_without_daemon(*opened)) {
            tell_no_daemon("what is shown as running is as of its end");
        }
    }
    return catalog;
}

int print_text(const std::string& text) {
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    if (written && std::fflush(stdout) == 0) return exit_ok;
    return report(Error{"stdout", "cannot write", errno, {}});
}

std::string time_ago(std::int64_t time_ns, std::int64_t now_ns) {
    return time_ns == 0 ? "-" : human_duration(now_ns - time_ns) + " ago";
}

}  // namespace twinlog
