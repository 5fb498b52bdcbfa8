#include "daemon/throttle.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/escape.h"
#include "base/priority.h"
#include "capture/privileges.h"

namespace twinlog {

namespace {

// Of what a stream may hold, which is as much as is free (bpf/emit.bpf.h).
constexpr std::uint64_t freeze_part = 8;
constexpr std::uint64_t thaw_part = 16;

// Bytes of records: more than pipes of all processors together are known to carry.
constexpr std::uint64_t most_per_second = 8'000'000'000;

void be_first() {
    if (auto first = run_before_others(); !first) {
        spdlog::warn("throttling may be late on a busy host: {}", first.error().message());
    }
}

}  // namespace

Throttle::Throttle(const RingFill& fill, FrozenList frozen)
    : fill_(fill),
      frozen_(std::move(frozen)),
      tick_(std::chrono::nanoseconds(std::chrono::seconds(1)).count() * (fill.size() / 4) /
            most_per_second) {}

Result<std::unique_ptr<Throttle>> Throttle::start(const std::string& store, const RingFill& fill) {
    if (fill.size() < smallest_ring) {
        return fail(
            "--overload throttle", "the ring is too small for it",
            "give --ring-size 16m or more; a former daemon's ring goes with `twinlog stop`");
    }
    auto frozen = FrozenList::open(store);
    if (!frozen) return pass_on(std::move(frozen));
    std::unique_ptr<Throttle> throttle(new Throttle(fill, std::move(*frozen)));
    throttle->thread_ = std::thread([self = throttle.get()] { self->work(); });
    return throttle;
}

Throttle::~Throttle() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    for (auto& [run, watched] : watched_) {
        if (watched.frozen) thaw(watched);
    }
}

Status Throttle::watch(const tw_start& start, const ContainerInfo& info) {
    std::vector<tw_file> files;
    for (const tw_file& file : start.files) {
        const bool again = !files.empty() && files.front().slot == file.slot;
        if (file.slot != TW_NO_SLOT && !again) files.push_back(file);
    }
    auto freezer = Freezer::of_container(info.cgroup, info.id);
    if (!freezer) return pass_on(std::move(freezer));
    const std::lock_guard lock(guard_);
    watched_.insert_or_assign(start.run, Watched{.title = escape_for_terminal(info.name),
                                                 .files = std::move(files),
                                                 .freezer = std::move(*freezer)});
    return {};
}

void Throttle::forget(const tw_start& start) {
    const std::lock_guard lock(guard_);
    const auto found = watched_.find(start.run);
    if (found == watched_.end()) return;
    Watched& watched = found->second;
    if (watched.frozen) thaw(watched);
    if (watched.times > 0) spdlog::info("{}: was held up {} times", watched.title, watched.times);
    watched_.erase(found);
}

void Throttle::work() {
    be_first();
    if (auto dropped = drop_all_privileges(); !dropped) {
        spdlog::error("{}", dropped.error().message());
    }
    while (!stop_) {
        std::this_thread::sleep_for(tick_);
        look();
    }
}

void Throttle::look() {
    const std::lock_guard lock(guard_);
    for (auto& [run, watched] : watched_) {
        const std::uint64_t held = held_by(watched);
        const std::uint64_t free = fill_.free();
        if (held > free / freeze_part) {
            // Again where somebody, another daemon for one, has let it go on.
            freeze(watched);
        } else if (watched.frozen && held <= free / thaw_part) {
            thaw(watched);
        }
    }
}

std::uint64_t Throttle::held_by(const Watched& watched) const {
    std::uint64_t most = 0;
    for (const tw_file& file : watched.files) most = std::max(most, fill_.held_by(file));
    return most;
}

void Throttle::freeze(Watched& watched) {
    // Whoever has frozen it will thaw it, and until then it writes nothing.
    auto frozen = watched.freezer.is_frozen();
    if (frozen && *frozen) return;
    // First the list: a daemon killed in between leaves one too many on it.
    auto listed = frozen_.add(watched.freezer.path());
    Status stopped = listed ? watched.freezer.freeze() : std::move(listed);
    watched.frozen = stopped.has_value();
    if (stopped) {
        ++watched.times;
    } else {
        (void)frozen_.remove(watched.freezer.path());
    }
    if (std::exchange(watched.told, true)) return;
    if (stopped) {
        spdlog::warn("{}: writes faster than its log can be written, and is slowed down",
                     watched.title);
    } else {
        spdlog::error("{}: cannot be slowed down: {}", watched.title, stopped.error().message());
    }
}

void Throttle::thaw(Watched& watched) {
    watched.frozen = false;
    // The group goes with the container's last process.
    if (auto thawed = watched.freezer.thaw(); !thawed && thawed.error().code != ENODEV) {
        spdlog::error("{}: {}", watched.title, thawed.error().message());
    }
    if (auto listed = frozen_.remove(watched.freezer.path()); !listed) {
        spdlog::error("{}", listed.error().message());
    }
}

}  // namespace twinlog
