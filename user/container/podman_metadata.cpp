// Names of podman's (and CRI-O's) containers, by way of conmon.
#include "container/podman_metadata.h"

#include <filesystem>
#include <utility>

#include "container/bundle.h"
#include "container/cgroup_name.h"
#include "container/json_fields.h"
#include "store/store.h"

namespace twinlog {
namespace {

// conmon's options whose value is an argument of its own; conmon src/cli.c.
const std::vector<std::string_view>& conmon_value_options() {
    static const std::vector<std::string_view> options{"--api-version",
                                                       "-b",
                                                       "--bundle",
                                                       "-c",
                                                       "--cid",
                                                       "-P",
                                                       "--conmon-pidfile",
                                                       "-p",
                                                       "--container-pidfile",
                                                       "--pidfile",
                                                       "-u",
                                                       "--cuuid",
                                                       "--exec-process-spec",
                                                       "--exit-command",
                                                       "--exit-command-arg",
                                                       "--exit-delay",
                                                       "--exit-dir",
                                                       "--log-level",
                                                       "-l",
                                                       "--log-path",
                                                       "--log-size-max",
                                                       "--log-global-size-max",
                                                       "--log-tag",
                                                       "--log-label",
                                                       "-n",
                                                       "--name",
                                                       "-0",
                                                       "--persist-dir",
                                                       "--restore",
                                                       "--restore-arg",
                                                       "-r",
                                                       "--runtime",
                                                       "--runtime-arg",
                                                       "--runtime-opt",
                                                       "--sdnotify-socket",
                                                       "--seccomp-notify-plugins",
                                                       "--seccomp-notify-socket",
                                                       "--socket-dir-path",
                                                       "-T",
                                                       "--timeout"};
    return options;
}

// "DRIVER:path", "DRIVER:" or a bare path, which means k8s-file.
std::string driver_of(const std::string& log_path) {
    if (log_path.empty()) return {};
    const std::size_t colon = log_path.find(':');
    if (colon != std::string::npos) return log_path.substr(0, colon);
    return log_path.starts_with('/') ? "k8s-file" : log_path;
}

}  // namespace

std::optional<ConmonArguments> parse_conmon_arguments(const std::vector<std::string>& arguments) {
    const auto& options = conmon_value_options();
    if (option_given(arguments, {"-e", "--exec"}, options)) return std::nullopt;
    ConmonArguments found;
    found.id = option_value(arguments, {"-c", "--cid"}, options);
    found.name = option_value(arguments, {"-n", "--name"}, options);
    found.bundle = option_value(arguments, {"-b", "--bundle"}, options);
    found.log_driver = driver_of(option_value(arguments, {"-l", "--log-path"}, options));
    found.tty = option_given(arguments, {"-t", "--terminal"}, options);
    if (!safe_id(found.id)) return std::nullopt;
    return found;
}

std::optional<Metadata> parse_podman_storage(std::string_view text, const std::string& id) {
    const auto json = parse_json(text);
    if (!json || !json->is_array()) return std::nullopt;
    for (const auto& container : *json) {
        if (text_field(container, {"id"}) != id) continue;
        Metadata metadata;
        metadata.created_ns = time_field(container, {"created"});
        if (const auto* names = find_field(container, {"names"});
            names != nullptr && names->is_array() && !names->empty()) {
            metadata.name = text_field(names->front(), {});
        }
        // libpod keeps its own facts as JSON within the JSON.
        if (const auto own = parse_json(text_field(container, {"metadata"}))) {
            metadata.image = text_field(*own, {"image-name"});
        }
        return metadata;
    }
    return std::nullopt;
}

std::optional<Metadata> PodmanMetadata::describe(std::uint32_t conmon,
                                                 const ConmonArguments& arguments) const {
    const auto uid = proc_.uid(conmon);
    if (!uid) return std::nullopt;
    FileRoot files = proc_.files_of(conmon);
    files.owner = *uid;
    Metadata metadata;
    std::string home;
    if (arguments.bundle.starts_with('/')) {
        if (auto bundle = read_bundle(files, arguments.bundle)) metadata = *std::move(bundle);
        // <storage>/overlay-containers/<id>/userdata
        const std::filesystem::path container =
            std::filesystem::path(arguments.bundle).lexically_normal().parent_path();
        if (container.filename() == arguments.id) {
            const auto text =
                read_rooted(files, container.parent_path() / "containers.json", max_metadata_file);
            const auto stored = text ? parse_podman_storage(*text, arguments.id) : std::nullopt;
            if (stored) {
                if (metadata.name.empty() || metadata.runtime.empty()) {
                    metadata.name = stored->name;
                }
                if (!stored->image.empty()) metadata.image = stored->image;
                metadata.created_ns = stored->created_ns;
            }
            home = path_on_host(files, container, host_root_).value_or(std::string());
        }
    }
    if (metadata.runtime.empty()) metadata.runtime = "podman";
    // CRI-O's bundles are in a file system that a boot empties.
    if (metadata.runtime == "podman") metadata.home = std::move(home);
    if (metadata.name.empty()) metadata.name = arguments.name;
    if (metadata.log_driver.empty()) metadata.log_driver = arguments.log_driver;
    metadata.tty = metadata.tty || arguments.tty;
    metadata.owner = *uid;
    return metadata;
}

std::optional<Metadata> PodmanMetadata::look_up(const ContainerRef& container) {
    if (container.init_pid == 0) return std::nullopt;
    const auto init = proc_.stat(container.init_pid);
    if (!init || init->ppid == 0) return std::nullopt;
    const auto comm = proc_.comm(init->ppid);
    if (!comm || *comm != "conmon") return std::nullopt;
    const auto command = proc_.cmdline(init->ppid);
    if (!command) return std::nullopt;
    const auto arguments = parse_conmon_arguments(*command);
    if (!arguments || arguments->id != container.id) return std::nullopt;
    return describe(init->ppid, *arguments);
}

std::vector<std::string> PodmanMetadata::resolve(const std::string& text) {
    std::vector<NamedContainer> host;
    std::vector<NamedContainer> others;
    for (const std::uint32_t pid : proc_.pids()) {
        const auto comm = proc_.comm(pid);
        if (!comm || *comm != "conmon") continue;
        const auto command = proc_.cmdline(pid);
        const auto arguments = command ? parse_conmon_arguments(*command) : std::nullopt;
        if (!arguments) continue;
        if (const auto metadata = describe(pid, *arguments)) {
            std::vector<NamedContainer>& containers = proc_.speaks_for_host(pid) ? host : others;
            containers.push_back({arguments->id, metadata->name});
        }
    }
    const auto ids = matching_ids(host, text);
    return ids.empty() ? matching_ids(others, text) : ids;
}

}  // namespace twinlog
