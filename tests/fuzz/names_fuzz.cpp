// Names that containers and their runtimes choose and that become paths: cgroups, ids, labels; and
// the files of /proc that hold them.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "container/cgroup_name.h"
#include "container/metadata.h"
#include "container/process.h"
#include "format/log_format.h"
#include "fuzz.h"
#include "store/store.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

void check_relative(std::string_view path) {
    require(!path.empty() && path.front() != '/', "a place is relative");
    while (!path.empty()) {
        const std::string_view name = path.substr(0, path.find('/'));
        require(!name.empty() && name != "." && name != "..", "its names stay where they are");
        require(name.size() <= 255, "its names are no longer than a file system takes");
        for (const char c : name) {
            require(static_cast<unsigned char>(c) > 0x20 && c != 0x7f, "its names can be printed");
        }
        path.remove_prefix(std::min(name.size() + 1, path.size()));
    }
}

void read_proc(std::string_view text) {
    (void)parse_process_stat(text);
    (void)parse_status_uid(text);
    (void)parse_namespace_link(text);
    const CgroupPaths paths = parse_cgroup_paths(text);
    const std::string path = naming_cgroup(paths);
    require(path.starts_with('/'), "a group's path is absolute");
}

void identify_group(Input& input) {
    const auto ns_pid = static_cast<std::uint32_t>(input.upto(3));
    const auto level = static_cast<std::uint32_t>(input.upto(3));
    const std::uint64_t pidns = input.upto(0xffff);
    std::string path = "/";
    // Ids are what the fuzzer would hardly find.
    while (!input.empty()) {
        const std::uint8_t piece = input.byte();
        if (piece < 16)
            path += std::string(64, "0123456789abcdef"[piece]);
        else if (piece < 24)
            path += '/';
        else if (piece < 32)
            path += ".scope";
        else
            path += static_cast<char>(piece);
    }
    const auto levels = cgroup_levels(path, 1 + ns_pid);
    require(levels.size() <= 1 + ns_pid, "no more names than wanted");
    const auto identity = identify(levels, ns_pid, level, pidns);
    if (identity) require(safe_id(identity->id), "an id is a safe name");
}

void place_logs(Input& input) {
    LogOwner owner;
    owner.id = std::string(64, 'a');
    owner.name = input.take(input.byte());
    owner.runtime = input.take(input.byte());
    for (const char* label :
         {"io.kubernetes.pod.name", "io.kubernetes.pod.uid", "io.kubernetes.pod.namespace",
          "io.kubernetes.container.name", "io.kubernetes.container.restartCount"}) {
        if (input.flag()) owner.labels[label] = input.take(input.byte());
    }
    for (const LogFormat* format : formats()) {
        for (const LogPlace& place : format->places(owner)) {
            check_relative(place.path);
            if (!place.otherwise.empty()) check_relative(place.otherwise);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    switch (input.byte() % 4) {
        case 0:
            read_proc(input.rest());
            break;
        case 1:
            place_logs(input);
            break;
        case 2: {
            const std::string text(input.take(input.byte()));
            std::vector<NamedContainer> containers;
            while (!input.empty()) {
                containers.push_back({std::string(input.take(input.byte() % 8)),
                                      std::string(input.take(input.byte() % 8))});
            }
            const auto ids = matching_ids(containers, text);
            require(ids.size() <= containers.size(), "no more are found than there are");
            break;
        }
        default:
            identify_group(input);
    }
    return 0;
}
