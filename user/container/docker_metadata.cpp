// Names and labels of Docker's containers, from dockerd's files.
#include "container/docker_metadata.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "container/cgroup_name.h"
#include "container/docker_log_options.h"
#include "container/json_fields.h"

namespace twinlog {
namespace {

constexpr const char* default_data_root = "/var/lib/docker";
constexpr const char* default_config_file = "/etc/docker/daemon.json";
constexpr std::chrono::seconds scan_pause{1};
constexpr std::chrono::seconds longest_scan_pause{60};
// Of a container that nobody asks about any more.
constexpr std::chrono::minutes forgotten_after{10};
// More containers than any host has; bounds what a hostile directory can cost.
constexpr std::size_t max_containers = 100000;

// If argument is the option itself, its value is the next argument; if it is "--option=value" or
// "-ovalue", the value is in it.
bool takes_value(const std::string& argument, std::string_view option, const std::string* next,
                 std::string& value) {
    if (argument == option) {
        if (next != nullptr) value = *next;
        return true;
    }
    if (!argument.starts_with(option)) return false;
    const bool is_long = option.starts_with("--");
    if (is_long && argument[option.size()] != '=') return false;
    const bool has_equals = argument[option.size()] == '=';
    value = argument.substr(option.size() + (has_equals ? 1 : 0));
    return true;
}

std::string variable(const std::vector<std::string>& environment, std::string_view name) {
    for (const std::string& entry : environment) {
        if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
            return entry.substr(name.size() + 1);
        }
    }
    return {};
}

// userns-remap puts everything one level deeper, into <uid>.<gid>.
bool remapped_root_name(std::string_view name) {
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return false;
    return name.find_first_not_of("0123456789.") == std::string_view::npos &&
           name.find('.', dot + 1) == std::string_view::npos;
}

// All of them, or none if that cannot be told.
Result<std::vector<std::string>> container_directories(const FileRoot& files,
                                                       const std::string& root) {
    std::vector<std::string> directories{root + "/containers"};
    const auto names = list_rooted(files, root, 1000);
    if (!names && names.error().code == no_answer) return fail(names.error());
    for (const std::string& name : names.value_or(std::vector<std::string>{})) {
        if (remapped_root_name(name)) directories.push_back(root + "/" + name + "/containers");
    }
    return directories;
}

std::optional<Metadata> read_container(const FileRoot& files, const std::string& directory) {
    const auto config = read_rooted(files, directory + "/config.v2.json", max_metadata_file);
    if (!config) return std::nullopt;
    const auto hostconfig = read_rooted(files, directory + "/hostconfig.json", max_metadata_file);
    return parse_docker_metadata(*config,
                                 hostconfig ? std::string_view(*hostconfig) : std::string_view{});
}

}  // namespace

DockerdArguments parse_dockerd_arguments(const std::vector<std::string>& arguments) {
    DockerdArguments found;
    for (std::size_t i = 1; i < arguments.size() && arguments[i] != "--"; ++i) {
        const std::string* next = i + 1 < arguments.size() ? &arguments[i + 1] : nullptr;
        const bool taken = takes_value(arguments[i], "--data-root", next, found.data_root) ||
                           takes_value(arguments[i], "--graph", next, found.data_root) ||
                           takes_value(arguments[i], "-g", next, found.data_root) ||
                           takes_value(arguments[i], "--config-file", next, found.config_file);
        const bool value_is_next =
            taken && (arguments[i] == "--data-root" || arguments[i] == "--graph" ||
                      arguments[i] == "-g" || arguments[i] == "--config-file");
        if (value_is_next) ++i;
    }
    return found;
}

std::optional<Metadata> parse_docker_metadata(std::string_view config,
                                              std::string_view hostconfig) {
    const auto json = parse_json(config);
    if (!json || !json->is_object()) return std::nullopt;
    Metadata metadata;
    metadata.runtime = "docker";
    metadata.name = text_field(*json, {"Name"});
    if (metadata.name.starts_with('/')) metadata.name.erase(0, 1);
    metadata.image = text_field(*json, {"Config", "Image"});
    metadata.labels = text_map_field(*json, {"Config", "Labels"});
    metadata.tty = bool_field(*json, {"Config", "Tty"});
    metadata.created_ns = time_field(*json, {"Created"});
    metadata.started_ns = time_field(*json, {"State", "StartedAt"});
    metadata.state_pid = number_field(*json, {"State", "Pid"});
    if (metadata.state_pid == 0U) metadata.state_pid.reset();
    if (const auto host = parse_json(hostconfig)) {
        metadata.log_driver = text_field(*host, {"LogConfig", "Type"});
        metadata.log_attributes = docker_log_attributes(*json, *host);
    }
    return metadata;
}

DockerMetadata::DockerMetadata(ProcFs proc, std::string host_root, Clock clock)
    : proc_(std::move(proc)), host_root_(std::move(host_root)), clock_(std::move(clock)) {
    next_scan_ = clock_();
    DataRoot usual;
    usual.files = proc_.files_of_host(host_root_);
    usual.path = default_data_root;
    usual.trusted = true;
    roots_.push_back(std::move(usual));
}

Result<DockerMetadata::Party> DockerMetadata::party_of(std::uint32_t pid) const {
    auto uid = proc_.uid(pid);
    if (!uid) return pass_on(std::move(uid));
    auto pidns = proc_.name_space(pid, "pid");
    if (!pidns) return pass_on(std::move(pidns));
    auto mntns = proc_.name_space(pid, "mnt");
    if (!mntns) return pass_on(std::move(mntns));
    return Party{*uid, *pidns, *mntns};
}

Result<std::string> DockerMetadata::data_root_of(std::uint32_t pid, const FileRoot& files) const {
    const auto command = proc_.cmdline(pid);
    const auto environment = proc_.environment(pid);
    for (const Error* error :
         {command ? nullptr : &command.error(), environment ? nullptr : &environment.error()}) {
        if (error != nullptr && error->code == no_answer) return fail(*error);
    }
    DockerdArguments arguments;
    if (command) arguments = parse_dockerd_arguments(*command);

    // Rootless dockerd keeps its things in the user's home.
    std::string config_file = default_config_file;
    std::string data_root = default_data_root;
    if (environment && !variable(*environment, "ROOTLESSKIT_STATE_DIR").empty()) {
        const std::string home = variable(*environment, "HOME");
        const std::string config_home = variable(*environment, "XDG_CONFIG_HOME");
        const std::string data_home = variable(*environment, "XDG_DATA_HOME");
        config_file =
            (config_home.empty() ? home + "/.config" : config_home) + "/docker/daemon.json";
        data_root = (data_home.empty() ? home + "/.local/share" : data_home) + "/docker";
    }

    const auto absolute = [&](const std::string& path) -> std::string {
        if (path.starts_with('/')) return path;
        const auto directory = proc_.working_directory(pid);
        return (directory ? *directory : std::string{}) + "/" + path;
    };
    if (!arguments.data_root.empty()) return absolute(arguments.data_root);
    if (!arguments.config_file.empty()) config_file = absolute(arguments.config_file);
    const auto text = read_rooted(files, config_file, max_metadata_file);
    if (!text && text.error().code == no_answer) return fail(text.error());
    const auto config = text ? parse_json(*text) : std::nullopt;
    if (!config) return data_root;
    for (const char* key : {"data-root", "graph"}) {
        const std::string configured = text_field(*config, {key});
        if (!configured.empty()) return absolute(configured);
    }
    return data_root;
}

std::optional<DockerMetadata::DataRoot> DockerMetadata::examine(std::uint32_t pid) const {
    const auto stat = proc_.stat(pid);
    const auto party = party_of(pid);
    const auto own_mntns = proc_.own_name_space("mnt");
    if (!stat || !party || !own_mntns) return std::nullopt;

    DataRoot root;
    root.pid = pid;
    root.start_ticks = stat->start_ticks;
    root.party = *party;
    root.trusted = proc_.speaks_for_host(pid);
    root.files = proc_.files_of(pid);
    root.files.owner = root.trusted ? 0 : party->uid;
    const auto same = path_on_host(root.files, "/", host_root_);
    if (!same && same.error().code == no_answer) return std::nullopt;
    const bool on_host = party->mntns == *own_mntns && same && !same->empty();
    if (on_host) root.files.directory = host_root_;
    auto path = data_root_of(pid, root.files);
    if (!path) return std::nullopt;
    root.path = *std::move(path);
    // On the host and trusted, the files tell as much after the end of this dockerd.
    root.needs_process = !on_host || !root.trusted;
    return root;
}

bool DockerMetadata::reachable(const DataRoot& root) const {
    return !root.needs_process || proc_.alive(root.pid, root.start_ticks);
}

bool DockerMetadata::scan() {
    std::erase_if(roots_, [this](const DataRoot& root) { return !reachable(root); });
    bool found = false;
    for (const std::uint32_t pid : proc_.pids()) {
        const auto comm = proc_.comm(pid);
        if (!comm || *comm != "dockerd") continue;
        const auto stat = proc_.stat(pid);
        if (!stat) continue;
        const auto known =
            std::find_if(roots_.begin(), roots_.end(), [&stat = *stat, pid](const DataRoot& root) {
                return root.pid == pid && root.start_ticks == stat.start_ticks;
            });
        if (known != roots_.end()) continue;
        auto root = examine(pid);
        if (!root) continue;
        // A dockerd that was started again takes the place of its former self.
        const auto former =
            std::find_if(roots_.begin(), roots_.end(), [&root](const DataRoot& other) {
                return !other.needs_process && !root->needs_process && other.path == root->path;
            });
        if (former != roots_.end()) {
            *former = *std::move(root);
            continue;
        }
        roots_.push_back(*std::move(root));
        found = true;
    }
    // Who is trusted is heard first.
    std::stable_partition(roots_.begin(), roots_.end(),
                          [](const DataRoot& root) { return root.trusted; });
    return found;
}

bool DockerMetadata::usable(const DataRoot& root, const Result<Party>& parent) const {
    return reachable(root) && (root.trusted || (parent && *parent == root.party));
}

std::optional<Metadata> DockerMetadata::read(const DataRoot& root, const std::string& id) const {
    const auto directories = container_directories(root.files, root.path);
    if (!directories) return std::nullopt;
    for (const std::string& directory : *directories) {
        std::string path = directory;
        path += '/';
        path += id;
        auto metadata = read_container(root.files, path);
        if (!metadata) continue;
        metadata->home = path_on_host(root.files, path, host_root_).value_or(std::string());
        // A pid that a dockerd in a pid namespace of its own wrote means nothing here.
        if (!root.trusted) metadata->state_pid.reset();
        metadata->owner = root.files.owner;
        return metadata;
    }
    return std::nullopt;
}

std::optional<Metadata> DockerMetadata::read_any(const ContainerRef& container) const {
    Result<Party> parent = fail(container.id, "has no parent process");
    if (container.init_pid != 0) {
        if (const auto init = proc_.stat(container.init_pid)) parent = party_of(init->ppid);
    }
    for (const DataRoot& root : roots_) {
        if (!usable(root, parent)) continue;
        if (auto metadata = read(root, container.id)) return metadata;
    }
    return std::nullopt;
}

bool DockerMetadata::is_due(const std::string& id) {
    const auto now = clock_();
    if (now < next_scan_) return false;
    std::erase_if(unknown_,
                  [now](const auto& item) { return item.second.due + forgotten_after < now; });
    Unknown& unknown = unknown_.try_emplace(id, Unknown{now, scan_pause}).first->second;
    if (now < unknown.due) return false;
    unknown.due = now + unknown.pause;
    unknown.pause = std::min(2 * unknown.pause, longest_scan_pause);
    next_scan_ = now + scan_pause;
    return true;
}

std::optional<Metadata> DockerMetadata::look_up(const ContainerRef& container) {
    if (!is_full_id(container.id)) return std::nullopt;
    auto metadata = read_any(container);
    if (!metadata && is_due(container.id) && scan()) metadata = read_any(container);
    if (metadata) unknown_.erase(container.id);
    return metadata;
}

std::vector<std::string> DockerMetadata::resolve_among(const std::string& text,
                                                       bool trusted) const {
    std::vector<NamedContainer> containers;
    for (const DataRoot& root : roots_) {
        if (root.trusted != trusted || !reachable(root)) continue;
        const auto directories = container_directories(root.files, root.path);
        if (!directories) continue;
        for (const std::string& directory : *directories) {
            const auto ids = list_rooted(root.files, directory, max_containers);
            for (const std::string& id : ids.value_or(std::vector<std::string>{})) {
                if (!is_full_id(id)) continue;
                std::string path = directory;
                path += '/';
                path += id;
                if (const auto metadata = read_container(root.files, path)) {
                    containers.push_back({id, metadata->name});
                }
            }
        }
    }
    return matching_ids(containers, text);
}

Presence DockerMetadata::presence(const ContainerRef& container) {
    if (!is_full_id(container.id)) return Presence::unknown;
    scan();
    Presence found = Presence::unknown;
    for (const DataRoot& root : roots_) {
        if (!root.trusted || !reachable(root)) continue;
        const auto directories = container_directories(root.files, root.path);
        if (!directories) continue;
        for (const std::string& directory : *directories) {
            std::string path = root.files.directory;
            path += directory;
            path += '/';
            path += container.id;
            const Presence here = presence_of(root.files, path);
            if (here == Presence::there) return here;
            // Without a dockerd, the usual place may not be where its containers are.
            if (here == Presence::removed && proc_.alive(root.pid, root.start_ticks)) found = here;
        }
    }
    return found;
}

std::vector<std::string> DockerMetadata::resolve(const std::string& text) {
    scan();
    const std::string bare = text.starts_with('/') ? text.substr(1) : text;
    auto ids = resolve_among(bare, true);
    // Only then, so that nobody makes a name ambiguous for the host's own Docker.
    if (ids.empty()) ids = resolve_among(bare, false);
    return ids;
}

}  // namespace twinlog
