// From the facts of a container's start to what is known about the container.
#include "container/registry.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "container/cgroup_owner.h"
#include "container/containerd_metadata.h"
#include "container/docker_metadata.h"
#include "container/freezer.h"
#include "container/podman_metadata.h"

namespace twinlog {
namespace {

constexpr std::uint64_t ns_per_tick = 10'000'000;  // USER_HZ is 100 on all of Linux
constexpr std::size_t short_id_size = 12;          // as docker ps shows them
constexpr int told_levels = 4;                     // StartFacts::cgroup has no more names

// Docker's short form; other ids would lose what tells them apart.
std::string fallback_name(const std::string& id) {
    return is_full_id(id) ? id.substr(0, short_id_size) : id;
}

std::string joined_path(const std::vector<std::string>& names) {
    std::string path;
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
        if (name->empty() || *name == "/") continue;
        path += '/';
        path += *name;
    }
    return path.empty() ? "/" : path;
}

bool is_at_root(const std::vector<std::string>& names) {
    return names.size() < told_levels || names.back().empty() || names.back() == "/";
}

// Of two paths of which the kernel may have told the last names only.
bool may_be_same_place(std::string_view one, std::string_view other) {
    if (one.size() < other.size()) std::swap(one, other);
    const auto levels = std::count(other.begin(), other.end(), '/');
    return one == other || (levels >= told_levels && one.ends_with(other));
}

template <class T>
bool update(T& value, const T& found) {
    if (found == T{} || found == value) return false;
    value = found;
    return true;
}

bool apply(const Metadata& metadata, ContainerInfo& info) {
    bool changed = update(info.name, metadata.name);
    changed |= update(info.image, metadata.image);
    changed |= update(info.labels, metadata.labels);
    changed |= update(info.log_driver, metadata.log_driver);
    changed |= update(info.log_attributes, metadata.log_attributes);
    changed |= update(info.runtime, metadata.runtime);
    changed |= update(info.home, metadata.home);
    changed |= update(info.tty, metadata.tty);
    changed |= update(info.created_ns, metadata.created_ns);
    return changed;
}

}  // namespace

bool is_of_one_start(std::string_view id) {
    return id.starts_with("pidns-") || id.starts_with("pid-");
}

Registry Registry::of_host(const std::string& proc_root) {
    const ProcFs proc(proc_root, FileAgents::start());
    // The first two see at the parent process whether the container is theirs, which costs little.
    std::vector<std::unique_ptr<MetadataSource>> sources;
    sources.push_back(std::make_unique<PodmanMetadata>(proc));
    sources.push_back(std::make_unique<ContainerdMetadata>(proc));
    sources.push_back(std::make_unique<DockerMetadata>(proc));
    return {proc, std::move(sources)};
}

std::optional<Metadata> Registry::look_up(const ContainerRef& container, uid_t owner) {
    std::optional<Metadata> best;
    for (const auto& source : sources_) {
        auto found = source->look_up(container);
        if (!found) continue;
        const bool is_owners = found->owner == owner;
        if (is_owners && !found->name.empty()) return found;
        const bool is_better = !best || (is_owners && best->owner != owner) ||
                               (found->owner == best->owner && best->name.empty());
        if (is_better) best = std::move(found);
    }
    return best;
}

bool Registry::contested(const std::string& id, const Init& init,
                         const std::optional<Metadata>& metadata) const {
    const auto known = inits_.find(id);
    if (known != inits_.end() && known->second.pid != init.pid &&
        proc_.alive(known->second.pid, known->second.start_ticks)) {
        return true;
    }
    if (!metadata || !metadata->state_pid || *metadata->state_pid == init.pid) return false;
    // dockerd may not have written the new pid yet: the old one counts only if it still is that
    // container.
    if (!proc_.alive(*metadata->state_pid)) return false;
    const auto cgroups = proc_.cgroups(*metadata->state_pid);
    if (!cgroups) return false;
    const std::string path = naming_cgroup(*cgroups);
    const auto other = identify(cgroup_levels(path), 0, 0, 0);
    return other && other->id == id;
}

// Where the process was when it started, as far as that is known: it may be gone, or elsewhere.
Registry::Place Registry::place_of(const std::string& id, const std::string& cgroup_now,
                                   const std::vector<std::string>& names) {
    std::string path = joined_path(names);
    if (!is_at_root(names)) {
        if (!cgroup_now.ends_with(path)) return {std::move(path), false};
        path = cgroup_now;
    }
    // The name of another group may have a short id in it.
    return {is_full_id(id) ? group_of_container(path, id) : path, true};
}

// Before the runtime has said which process it is, and while the container is stopped, nothing else
// tells a container from somebody's group of that name. A user may have groups of his own, but not
// a runtime of root's as his parent; whoever lost his parent has the host's init. What a parent
// says is its user's word and no other's.
Registry::Owner Registry::owner_of(const std::string& id, const Place& place,
                                   const std::optional<ProcessStat>& init,
                                   const std::optional<Metadata>& metadata,
                                   const StoredContainers& stored) const {
    const std::optional<uid_t> claimed = metadata ? metadata->owner : std::nullopt;
    if (!place.whole) {
        const auto log = stored ? stored(id) : std::nullopt;
        if (log) return {log->owner, !may_be_same_place(place.path, log->cgroup)};
        return {std::nullopt, claimed.has_value()};
    }
    const std::optional<uid_t> user = delegated_to(place.path, cgroups_);
    const uid_t owner = claimed ? *claimed : user.value_or(0);
    if (user && *user != owner) {
        if (!init || init->ppid <= 1) return {owner, true};
        const auto parent = proc_.uid(init->ppid);
        if (!parent || *parent != owner) return {owner, true};
    }
    if (owner == 0 || is_of_one_start(id)) return {owner, false};
    const auto log = stored ? stored(id) : std::nullopt;
    if (!log) return {owner, false};
    const bool is_same =
        log->owner ? *log->owner == owner : may_be_same_place(place.path, log->cgroup);
    return {owner, !is_same};
}

std::optional<ContainerInfo> Registry::describe(const StartFacts& facts,
                                                const StoredContainers& stored) {
    const std::vector<std::string_view> levels(facts.cgroup.begin(), facts.cgroup.end());
    auto identity = identify(levels, facts.ns_pid, facts.level, facts.pidns);
    // Numbers of processes and namespaces come again, a start does not.
    const std::string since = "-" + std::to_string(facts.start_boottime_ns / ns_per_tick);
    const std::string pid_id = "pid-" + std::to_string(facts.pid) + since;
    const std::string namespace_id = pid_namespace_id(facts.pidns) + since;
    if (identity && identity->id == pid_namespace_id(facts.pidns)) identity->id = namespace_id;
    if (!identity) {
        if (!facts.by_pid) return std::nullopt;
        identity = ContainerIdentity{pid_id, ""};
    }

    // A short-lived process may be gone, and its pid another's, before this is read.
    Init init{facts.pid, facts.start_boottime_ns / ns_per_tick};
    const auto stat = proc_.stat(facts.pid);
    const bool present = stat && (init.start_ticks == 0 || stat->start_ticks == init.start_ticks);
    if (present) init.start_ticks = stat->start_ticks;

    std::string cgroup = joined_path(facts.cgroup);
    std::string cgroup_now;
    if (present) {
        if (const auto cgroups = proc_.cgroups(facts.pid)) cgroup_now = naming_cgroup(*cgroups);
    }
    if (!cgroup_now.empty()) cgroup = cgroup_now;

    // Of all who claim it root is believed first.
    std::optional<Metadata> metadata = look_up({identity->id, present ? facts.pid : 0}, 0);
    const std::optional<ProcessStat> init_stat =
        present ? std::optional<ProcessStat>(*stat) : std::nullopt;
    const Place place = place_of(identity->id, cgroup_now, facts.cgroup);
    const Owner owner = owner_of(identity->id, place, init_stat, metadata, stored);
    if (owner.is_stranger || contested(identity->id, init, metadata)) {
        metadata.reset();
        const bool own_namespace = facts.level > 0 && facts.ns_pid == 1;
        identity = ContainerIdentity{own_namespace ? namespace_id : pid_id, ""};
    }

    ContainerInfo info;
    info.id = identity->id;
    info.name = fallback_name(info.id);
    info.runtime = identity->runtime;
    info.init_pid = facts.pid;
    info.started_ns = facts.started_ns;
    info.cgroup = cgroup;
    if (!is_of_one_start(info.id)) info.owner = owner.user;
    if (metadata) {
        apply(*metadata, info);
        // Docker's time is of the run before until this one is under way.
        if (info.started_ns == 0) info.started_ns = metadata->started_ns;
    }

    constexpr std::size_t many = 8192;
    if (inits_.size() >= many) {
        std::erase_if(inits_, [this](const auto& entry) {
            return !proc_.alive(entry.second.pid, entry.second.start_ticks);
        });
    }
    inits_[info.id] = init;
    return info;
}

bool Registry::exists(std::uint32_t pid, std::uint64_t start_boottime_ns) const {
    const auto stat = proc_.stat(pid);
    return stat && stat->start_ticks == start_boottime_ns / ns_per_tick;
}

bool Registry::refresh(ContainerInfo& info) {
    ContainerRef ref{info.id, 0};
    const auto init = inits_.find(info.id);
    if (init != inits_.end() && init->second.pid == info.init_pid &&
        proc_.alive(init->second.pid, init->second.start_ticks)) {
        ref.init_pid = info.init_pid;
    }
    const auto metadata = look_up(ref, info.owner.value_or(0));
    if (!metadata || (info.owner && metadata->owner && *metadata->owner != *info.owner))
        return false;
    return apply(*metadata, info);
}

Presence Registry::presence_at_home(const ContainerInfo& info) {
    if (info.home.empty()) return Presence::unknown;
    FileRoot files = proc_.files_of_host("/");
    // A user's home may be in a file system of his own.
    if (info.owner.value_or(0) != 0) files.agent = proc_.agents().others;
    return presence_of(files, info.home);
}

Presence Registry::presence(const ContainerInfo& info) {
    // Ids of our own making name a process, and nobody keeps anything of it.
    if (info.id.starts_with("pid-") || info.id.starts_with("pidns-")) {
        std::uint64_t ticks = 0;
        const char* const end = info.id.data() + info.id.size();
        std::from_chars(info.id.data() + info.id.rfind('-') + 1, end, ticks);
        return proc_.alive(info.init_pid, ticks) ? Presence::there : Presence::removed;
    }
    const FileAgents& agents = proc_.agents();
    const std::uint64_t unanswered = agents.host ? agents.host->unanswered() : 0;
    Presence found = Presence::unknown;
    if (!info.home.empty()) {
        found = presence_at_home(info);
    } else if (info.runtime == "docker" && info.image.empty()) {
        // It was removed before its files were looked at.
        for (const auto& source : sources_) {
            found = std::max(found, source->presence({info.id, 0}));
        }
    }
    if (found != Presence::removed) return found;
    // A data root may have been moved.
    const std::vector<std::string> ids = resolve(info.id);
    if (std::find(ids.begin(), ids.end(), info.id) != ids.end()) return Presence::there;
    // What was not read may have it.
    return agents.host && agents.host->unanswered() != unanswered ? Presence::unknown : found;
}

std::vector<std::string> Registry::resolve(const std::string& text) {
    std::vector<std::string> ids;
    for (const auto& source : sources_) {
        std::vector<std::string> found = source->resolve(text);
        ids.insert(ids.end(), found.begin(), found.end());
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}

}  // namespace twinlog
