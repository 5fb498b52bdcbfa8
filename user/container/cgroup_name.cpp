// From the names of a process's cgroup to the container that it is. Forms of the names: runc's
// libcontainer (cgroupfs and systemd drivers), podman's libpod, cri-containerd, CRI-O.
#include "container/cgroup_name.h"

#include <algorithm>
#include <array>

#include "store/store.h"

namespace twinlog {
namespace {

constexpr std::size_t full_id_size = 64;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_lower_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

// A name that ends in an id: what stands before it, without the separator.
struct NameWithId {
    std::string_view prefix;
    std::string_view id;
};

std::optional<NameWithId> split_name(std::string_view name) {
    constexpr std::string_view scope = ".scope";
    if (name.ends_with(scope)) name.remove_suffix(scope.size());
    if (name.size() < full_id_size) return std::nullopt;
    const std::string_view id = name.substr(name.size() - full_id_size);
    if (!is_full_id(id)) return std::nullopt;
    std::string_view prefix = name.substr(0, name.size() - full_id_size);
    if (prefix.empty()) return NameWithId{{}, id};
    // A colon where runc's cgroupfs driver was handed a path of systemd's form.
    if (prefix.back() != '-' && prefix.back() != ':') return std::nullopt;
    prefix.remove_suffix(1);
    return NameWithId{prefix, id};
}

std::string_view runtime_of(std::string_view prefix, std::string_view parent) {
    // "kubepods-….slice:cri-containerd:<id>"
    const std::size_t colon = prefix.rfind(':');
    if (colon != std::string_view::npos) prefix.remove_prefix(colon + 1);
    if (prefix.empty()) return parent == "docker" ? "docker" : "";
    if (prefix == "docker") return "docker";
    if (prefix == "libpod" || prefix == "libpod-payload") return "podman";
    if (prefix == "cri-containerd" || prefix == "nerdctl") return "containerd";
    if (prefix == "crio") return "cri-o";
    return "";
}

// Names that systemd, runtimes and desktops give to many groups, so that they name none.
bool generic_name(std::string_view name) {
    if (name.ends_with(".slice") || name.ends_with(".service")) return true;
    // systemd-nspawn and libvirt: machine-<name>.scope
    if (name.ends_with(".scope")) return !name.starts_with("machine-");
    // Ids of our own making, which nobody else may take.
    if (name.starts_with("pidns-") || name.starts_with("pid-")) return true;
    constexpr std::array<std::string_view, 5> names{"container", "payload", "supervisor", "conmon",
                                                    "init"};
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool is_full_id(std::string_view text) {
    return text.size() == full_id_size && std::all_of(text.begin(), text.end(), is_lower_hex);
}

std::vector<std::string_view> cgroup_levels(std::string_view path, std::size_t count) {
    std::vector<std::string_view> levels;
    while (levels.size() < count) {
        const std::size_t slash = path.rfind('/');
        if (slash == std::string_view::npos) break;
        levels.push_back(path.substr(slash + 1));
        path = path.substr(0, slash);
    }
    return levels;
}

std::string pid_namespace_id(std::uint64_t pidns) {
    return "pidns-" + std::to_string(static_cast<std::uint32_t>(pidns));
}

std::optional<ContainerIdentity> identify(std::span<const std::string_view> levels,
                                          std::uint32_t ns_pid, std::uint32_t level,
                                          std::uint64_t pidns) {
    const std::string_view leaf = levels.empty() ? std::string_view{} : levels.front();
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const auto name = split_name(levels[i]);
        if (!name) continue;
        // conmon never has a pid namespace of its own; what has one is a container in a bad
        // disguise.
        const bool conmon = name->prefix.ends_with("conmon") ||
                            (i > 0 && (leaf == "conmon" || leaf == "supervisor"));
        if (conmon && level == 0) return std::nullopt;
        if (name->prefix.ends_with("conmon")) break;
        const std::string_view parent = i + 1 < levels.size() ? levels[i + 1] : std::string_view{};
        return ContainerIdentity{std::string(name->id),
                                 std::string(runtime_of(name->prefix, parent))};
    }
    if (level == 0 || ns_pid != 1) return std::nullopt;
    if (safe_id(leaf) && !generic_name(leaf)) {
        return ContainerIdentity{std::string(leaf), leaf.starts_with("lxc.payload.") ? "lxc" : ""};
    }
    return ContainerIdentity{pid_namespace_id(pidns), ""};
}

}  // namespace twinlog
