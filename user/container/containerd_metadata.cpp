// Names of containerd's containers, by way of their shim.
#include "container/containerd_metadata.h"

#include <filesystem>
#include <set>

#include "container/bundle.h"
#include "container/cgroup_name.h"
#include "store/store.h"

namespace twinlog {
namespace {

constexpr const char* docker_namespace = "moby";
constexpr std::size_t max_containers = 100000;

}  // namespace

std::optional<ShimArguments> parse_shim_arguments(const std::vector<std::string>& arguments) {
    // Go's flag package takes one dash or two.
    static const std::vector<std::string_view> options{"-namespace",
                                                       "--namespace",
                                                       "-id",
                                                       "--id",
                                                       "-address",
                                                       "--address",
                                                       "-publish-binary",
                                                       "-workdir",
                                                       "-socket",
                                                       "-bundle",
                                                       "--bundle",
                                                       "--publish-binary",
                                                       "-runtime-root",
                                                       "-containerd-binary"};
    ShimArguments found;
    found.name_space = option_value(arguments, {"-namespace", "--namespace"}, options);
    found.id = option_value(arguments, {"-id", "--id"}, options);
    if (!safe_id(found.id)) return std::nullopt;
    return found;
}

std::optional<ContainerdMetadata::Shim> ContainerdMetadata::shim(std::uint32_t pid) const {
    const auto comm = proc_.comm(pid);
    // The kernel cuts names to 15 bytes: containerd-shim-runc-v2 and its kin all look like this.
    if (!comm || *comm != "containerd-shim") return std::nullopt;
    const auto command = proc_.cmdline(pid);
    const auto arguments = command ? parse_shim_arguments(*command) : std::nullopt;
    const auto uid = proc_.uid(pid);
    // A shim works in the bundle of the container that it was started for; those of a pod's other
    // containers lie beside it.
    const auto directory = proc_.working_directory(pid);
    if (!arguments || !uid || !directory) return std::nullopt;
    Shim shim;
    shim.arguments = *arguments;
    shim.files = proc_.files_of(pid);
    shim.files.owner = *uid;
    shim.tasks = std::filesystem::path(*directory).parent_path().string();
    return shim;
}

std::optional<Metadata> ContainerdMetadata::look_up(const ContainerRef& container) {
    if (container.init_pid == 0) return std::nullopt;
    const auto init = proc_.stat(container.init_pid);
    if (!init || init->ppid == 0) return std::nullopt;
    const auto parent = shim(init->ppid);
    if (!parent) return std::nullopt;
    if (parent->arguments.name_space == docker_namespace) {
        Metadata metadata;
        metadata.runtime = "docker";
        metadata.owner = parent->files.owner;
        return metadata;
    }
    auto metadata = read_bundle(parent->files, parent->tasks + "/" + container.id);
    if (metadata) {
        // Without a better one, ctr's ids are names that people chose.
        if (metadata->name.empty() && !is_full_id(container.id)) metadata->name = container.id;
    } else if (!is_full_id(container.id)) {
        // The cgroup is not named after the container.
        metadata = read_bundle(parent->files, parent->tasks + "/" + parent->arguments.id);
        if (!metadata) metadata.emplace();
        if (metadata->name.empty()) metadata->name = parent->arguments.id;
    } else {
        metadata.emplace();
    }
    metadata->runtime = "containerd";
    metadata->owner = parent->files.owner;
    return metadata;
}

std::vector<std::string> ContainerdMetadata::resolve(const std::string& text) {
    std::vector<NamedContainer> host;
    std::vector<NamedContainer> others;
    std::set<std::pair<std::string, std::string>> seen;
    for (const std::uint32_t pid : proc_.pids()) {
        const auto found = shim(pid);
        if (!found || found->arguments.name_space == docker_namespace) continue;
        std::vector<NamedContainer>& containers = proc_.speaks_for_host(pid) ? host : others;
        const auto listed = list_rooted(found->files, found->tasks, max_containers);
        for (const std::string& id : listed.value_or(std::vector<std::string>{})) {
            // All host shims of a namespace show the same directory.
            if (!safe_id(id) || (&containers == &host && !seen.emplace(found->tasks, id).second)) {
                continue;
            }
            const auto metadata = read_bundle(found->files, found->tasks + "/" + id);
            if (!metadata) continue;
            containers.push_back({id, metadata->name.empty() ? id : metadata->name});
        }
    }
    const auto ids = matching_ids(host, text);
    return ids.empty() ? matching_ids(others, text) : ids;
}

}  // namespace twinlog
