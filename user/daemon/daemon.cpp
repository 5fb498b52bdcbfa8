#include "daemon/daemon.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/priority.h"
#include "base/signals.h"
#include "capture/privileges.h"
#include "capture/spill_place.h"
#include "container/process.h"
#include "container/registry.h"
#include "container/rooted_file.h"
#include "daemon/frozen.h"
#include "daemon/recorder.h"
#include "daemon/throttle.h"
#include "store/layout.h"
#include "store/store.h"

namespace twinlog {

namespace {

using namespace std::chrono_literals;

// What is held back, entries for those of the other stream and bytes for their writer, is let go
// after so long, which is more than any of them waits for on its own, or when so much of the ring
// waits for it.
constexpr auto longest_hold = 600ms;
constexpr std::uint64_t most_uncommitted = 16ULL << 20;
// Of the ring, where that is less: with as much again that is still unread the spill begins
// (backlog.cpp), before a stream has the half of the ring that it may hold alone.
constexpr std::uint64_t most_uncommitted_part = 4;
// What cannot be let go of yet takes no more of the ring than this: it ends before the half does.
constexpr std::uint64_t most_held_eighths = 3;

// Counters and names are for people: once a second is often enough.
constexpr auto housekeeping = 1s;
// What a pass costs for each run, and what a follower does not notice.
constexpr std::chrono::microseconds pause_per_run{10};
constexpr std::chrono::microseconds shortest_pause = 1ms;
constexpr std::chrono::microseconds longest_pause = 10ms;
// Ends get lost only where the kernel has no room for 24 bytes.
constexpr auto lost_ends_check = 10s;
// How often the holders of an ended container's pipes are looked at, and what is held for its time.
constexpr auto waiting_tick = 50ms;
// Looking walks all open files of the host, and a container can have very many: no more than this
// part of the time goes into it.
constexpr int look_share = 10;

// Programs of which a skipped run costs nothing: an end that they did not tell is found by
// look_for_lost_ends().
constexpr std::array<const char*, 2> see_ends{"on_exit", "on_exit_perf"};
constexpr const char* sees_starts = "on_exec";
constexpr const char* sees_starts_too = "on_exec_perf";

// "6 of on_sys_exit, 2 of on_exec": of programs that output may be missing for; empty if there are
// no more.
std::string more_missed(const MissedRuns& before, const MissedRuns& now) {
    MissedRuns more;
    for (const auto& [program, count] : now) {
        const auto known = before.find(program);
        more[program] = count - (known == before.end() ? 0 : known->second);
    }
    for (const char* program : see_ends) more.erase(program);
    // One of the two that see a start is enough.
    if (auto second = more.extract(sees_starts_too)) {
        more[sees_starts] = std::min(more[sees_starts], second.mapped());
    }
    std::string text;
    for (const auto& [program, count] : more) {
        if (count == 0) continue;
        text += (text.empty() ? "" : ", ") + std::to_string(count) + " of " + program;
    }
    return text;
}

class Daemon {
 public:
    Daemon(Store store, std::unique_ptr<Capture> capture, Selection selection,
           LogWriter::Options log_options, std::unique_ptr<Throttle> throttle, OnStop on_stop)
        : store_(std::move(store)),
          capture_(std::move(capture)),
          selection_(std::move(selection)),
          throttle_(std::move(throttle)),
          recorder_(*capture_, store_, registry_, selection_, std::move(log_options),
                    throttle_.get()),
          on_stop_(on_stop) {}

    Status start();
    // Completes what a former daemon captured, and ends it.
    Status finish_former();
    Status record_until(const StopSignals& signals, const DaemonOptions& options);
    void stop();
    // From here on a crash must not end the capture.
    void may_outlive() { capture_->keep_pins(); }
    [[nodiscard]] std::size_t running() const { return recorder_.running(); }

 private:
    Status take_over();
    bool drain();
    void secure_spilled();
    bool held_too_long();
    void drain_pass();
    Status look_at_streams();
    void keep_house();
    void gather();
    void read_options_again(const DaemonOptions& options);

    Store store_;
    std::unique_ptr<Capture> capture_;
    Registry registry_ = Registry::of_host();
    Selection selection_;
    std::unique_ptr<Throttle> throttle_;  // none: nobody is slowed
    Recorder recorder_;
    std::chrono::steady_clock::time_point last_pass_;
    std::chrono::steady_clock::time_point last_housekeeping_;
    std::chrono::steady_clock::time_point last_lost_ends_check_;
    std::chrono::steady_clock::time_point next_look_;
    MissedRuns missed_runs_;
    bool waits_ = false;  // something is held for time to pass
    std::optional<std::chrono::steady_clock::time_point> held_since_;  // without a commit
    OnStop on_stop_;
};

// Files first, then the ring's room is given back. True at the end of a pass.
bool Daemon::drain() {
    update_wall_clock();
    const bool complete = capture_->drain(recorder_);
    if (complete) waits_ = recorder_.pass_time(boot_time_now());
    recorder_.flush();
    secure_spilled();
    if (recorder_.holds_last_copy()) {
        // Of the ring nothing waits for it.
        if (capture_->uncommitted() == 0) held_since_.reset();
        if (capture_->uncommitted() == 0 || !held_too_long()) return complete;
        recorder_.let_go();
        recorder_.flush();
        // What is behind a record that may still come stays, until the pass ends and tells that it
        // does not. Only where others would lose for it what a kill may cost is it not waited for.
        if (recorder_.holds_last_copy() &&
            capture_->uncommitted() < capture_->fill().size() / 8 * most_held_eighths) {
            return complete;
        }
    }
    held_since_.reset();
    recorder_.save_checkpoints();
    capture_->commit();
    return complete;
}

// The same run by run for what came out of the spill.
void Daemon::secure_spilled() {
    for (const auto& [run, bytes] : capture_->uncommitted_runs()) {
        if (recorder_.secure(run, bytes > most_uncommitted)) capture_->commit(run);
    }
}

// What is held back keeps the ring's room from being given back.
bool Daemon::held_too_long() {
    const auto now = std::chrono::steady_clock::now();
    if (!held_since_) held_since_ = now;
    return now - *held_since_ > longest_hold ||
           capture_->uncommitted() >
               std::min(most_uncommitted, capture_->fill().size() / most_uncommitted_part);
}

// Everything that was recorded before the call. One pass may be under way, so it takes another.
void Daemon::drain_pass() {
    for (int pass = 0; pass < 2; ++pass) {
        while (!drain()) {
        }
    }
}

Status Daemon::take_over() {
    if (capture_->taken_over()) recorder_.restore();
    if (auto attached = capture_->attach(); !attached) return attached;
    // Before anything is read that a container chose, but for this store's own logs, and before
    // there is a second thread.
    if (auto dropped = drop_privileges(); !dropped) return dropped;
    recorder_.start_housekeeping();
    return {};
}

Status Daemon::start() {
    if (auto taken = take_over(); !taken) return taken;
    if (selection_.everything() || !selection_.containers.empty()) {
        if (auto seeded = capture_->seed(); !seeded) return seeded;
    }
    const ProcFs proc;
    for (const std::uint32_t pid : selection_.pids) {
        if (auto process = proc.stat(pid); !process) return pass_on(std::move(process));
        if (recorder_.records(pid)) continue;
        if (auto seeded = capture_->seed_pid(pid); !seeded) return seeded;
    }
    const std::uint64_t next_run = capture_->next_run();
    drain_pass();
    if (capture_->taken_over()) {
        recorder_.abandon_unknown(next_run);
        if (selection_.new_containers()) {
            if (auto seeded = capture_->seed(); !seeded) return seeded;
        }
        drain_pass();
        // Processes that ended while nobody looked have told it to a daemon that may not have heard
        // it.
        recorder_.look_for_lost_ends();
    }
    recorder_.settle_former();
    return {};
}

void Daemon::keep_house() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_housekeeping_ < housekeeping) return;
    last_housekeeping_ = now;
    // From the loop that does the work: a daemon that is stuck in it does not say so.
    ::sd_notifyf(0, "WATCHDOG=1\nSTATUS=capturing %zu containers", running());
    recorder_.keep_files();
    if (now - last_lost_ends_check_ >= lost_ends_check) {
        last_lost_ends_check_ = now;
        recorder_.look_for_lost_ends();
        recorder_.pay_debts();
        capture_->tidy_spill();
        if (recorder_.wants_seed()) {
            if (auto seeded = capture_->seed(); !seeded)
                spdlog::error("{}", seeded.error().message());
        }
    }
    if (MissedRuns missed = capture_->missed_runs(); missed != missed_runs_) {
        if (const std::string skipped = more_missed(missed_runs_, missed); !skipped.empty()) {
            spdlog::error(
                "the kernel skipped runs of the capture programs: {}; what was written then is "
                "missing from the logs without a trace",
                skipped);
        }
        missed_runs_ = std::move(missed);
        // One of them may have been a container's start.
        if (selection_.new_containers()) {
            if (auto seeded = capture_->seed(); !seeded) {
                spdlog::error("{}", seeded.error().message());
            }
        }
    }
}

// Who still has the streams open, and what has not been read: where runs are ending, and where
// readers seem to be stuck.
Status Daemon::look_at_streams() {
    const bool stuck = recorder_.anybody_stuck(boot_time_now());
    if (!stuck && !recorder_.anybody_ending()) return {};
    const auto begin = std::chrono::steady_clock::now();
    if (begin < next_look_) return {};
    auto look = capture_->look();
    if (!look) return pass_on(std::move(look));
    const auto end = std::chrono::steady_clock::now();
    next_look_ = end + std::max<std::chrono::steady_clock::duration>(waiting_tick,
                                                                     look_share * (end - begin));
    const auto ended = recorder_.ended_runs(*look);
    if (!stuck && ended.empty()) return {};
    drain_pass();
    recorder_.finish(ended, *look);
    recorder_.look_at_stuck(*look);
    recorder_.flush();
    return {};
}

void Daemon::read_options_again(const DaemonOptions& options) {
    ::sd_notify(0, "RELOADING=1");
    if (auto now = options.read_again(); !now) {
        spdlog::error("the options stay as they were: {}", now.error().message());
    } else {
        if (now->store != options.store || !(now->selection == options.selection) ||
            now->capture.ring_size != options.capture.ring_size ||
            now->capture.spill.limit != options.capture.spill.limit ||
            now->capture.spill_memory.limit != options.capture.spill_memory.limit ||
            now->overload != options.overload) {
            spdlog::warn("{} change with the next start",
                         "store, ring-size, spill, spill-memory, overload, container and pid");
        }
        recorder_.set_log_options(now->log);
        on_stop_ = now->on_stop;
        spdlog::info("the options were read again");
    }
    ::sd_notify(0, "READY=1");
}

// A pass looks at all runs, whoever has written: where there are many, more records come together
// before the next one. What is behind already has them.
void Daemon::gather() {
    const auto pause =
        std::min<std::chrono::microseconds>(pause_per_run * running(), longest_pause);
    if (pause >= shortest_pause && !capture_->spills()) {
        std::this_thread::sleep_until(last_pass_ + pause);
    }
    last_pass_ = std::chrono::steady_clock::now();
}

Status Daemon::record_until(const StopSignals& signals, const DaemonOptions& options) {
    for (;;) {
        if (drain()) {
            if (auto looked = look_at_streams(); !looked) return looked;
            const auto at_most = recorder_.anybody_ending() || waits_
                                     ? std::chrono::milliseconds(waiting_tick)
                                     : std::chrono::milliseconds(housekeeping);
            auto signalled = capture_->wait(signals.fd(), at_most);
            if (!signalled) return pass_on(std::move(signalled));
            const int signal = *signalled ? signals.take() : 0;
            gather();
            if (signal == SIGHUP && options.read_again) {
                read_options_again(options);
            } else if (signal != 0 && signal != SIGHUP) {
                return {};
            }
        }
        keep_house();
    }
}

void Daemon::stop() {
    if (on_stop_ == OnStop::keep) {
        drain_pass();
        recorder_.let_go();
        recorder_.flush();
        recorder_.save_changes();
        recorder_.save_checkpoints();
        secure_spilled();
        // What is behind a record that has not come yet is the next daemon's, with that record.
        if (!recorder_.holds_last_copy()) capture_->commit();
        capture_->keep_pins();
        return;
    }
    // Before the last look: what comes after it would be counted and not recorded.
    capture_->unpin();
    capture_->detach();
    // One alone does not tell that a run is over.
    const auto first = capture_->look();
    auto look = capture_->look();
    if (!look) spdlog::error("{}", look.error().message());
    drain_pass();
    while (capture_->spills()) drain();
    recorder_.let_go();
    if (first) static_cast<void>(recorder_.ended_runs(*first));
    const StreamsLook last = look ? std::move(*look) : StreamsLook{};
    recorder_.finish(recorder_.ended_runs(last), last);
    recorder_.finish_all(last);
    capture_->tidy_spill();
}

Status Daemon::finish_former() {
    if (auto taken = take_over(); !taken) return taken;
    drain_pass();
    recorder_.look_for_lost_ends();
    on_stop_ = OnStop::detach;
    stop();
    return {};
}

// Each container takes two descriptors and one for each further log; 1024 is the usual soft limit.
void raise_file_limit() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

// A daemon with all that it stands on, loaded and not started.
Result<std::unique_ptr<Daemon>> prepare(const DaemonOptions& options, Store store,
                                        const Pins& pins) {
    CaptureOptions capture_options = options.capture;
    capture_options.pins = pins;
    capture_options.spill_memory = spill_in_memory(pins, options.capture.spill_memory.limit);
    auto disk = spill_on_disk(layout::spill_file(options.store), options.capture.spill.limit);
    if (!disk) return pass_on(std::move(disk));
    capture_options.spill = *disk;
    if (auto thawed = thaw_left(options.store); !thawed) {
        spdlog::error("{}", thawed.error().message());
    }
    auto capture = Capture::load(capture_options);
    if (!capture) return pass_on(std::move(capture));
    std::unique_ptr<Throttle> throttle;
    if (options.overload == Overload::throttle) {
        auto started = Throttle::start(options.store, (*capture)->fill());
        if (!started) return pass_on(std::move(started));
        throttle = std::move(*started);
    }
    return std::make_unique<Daemon>(std::move(store), std::move(*capture), options.selection,
                                    options.log, std::move(throttle), options.on_stop);
}

}  // namespace

Status run_daemon(const DaemonOptions& options) {
    // Before there is a store: one that stays empty would be taken for a daemon's.
    if (auto capable = check_privileges(/*search_modules=*/false); !capable) return capable;
    // Before anything starts that a signal could interrupt half-way.
    auto signals = StopSignals::block({SIGHUP});
    if (!signals) return pass_on(std::move(signals));
    std::optional<ThawGuard> guard;
    if (options.overload == Overload::throttle) {
        auto started = ThawGuard::start(options.store);
        if (!started) return pass_on(std::move(started));
        guard.emplace(std::move(*started));
    }
    raise_file_limit();
    keep_right_to_run_before_others();
    auto store = Store::open(options.store, /*create=*/true);
    if (!store) return pass_on(std::move(store));
    auto lock = store->lock();
    if (!lock) return pass_on(std::move(lock));
    auto pins = Pins::of_store(options.store);
    if (!pins) return pass_on(std::move(pins));
    if (!pins->usable()) {
        spdlog::warn("there is no bpffs: what is written while no daemon runs will be missing");
    }
    if (auto rooted = check_rooted(); !rooted) {
        spdlog::warn("containers will have no names: {}", rooted.error().message());
    }
    auto daemon = prepare(options, std::move(*store), *pins);
    if (!daemon) return pass_on(std::move(daemon));
    if (auto started = (*daemon)->start(); !started) return started;
    (*daemon)->may_outlive();
    std::fprintf(stderr, "ready: capturing %zu containers\n", (*daemon)->running());
    ::sd_notify(0, "READY=1");
    auto recorded = (*daemon)->record_until(*signals, options);
    ::sd_notify(0, "STOPPING=1");
    (*daemon)->stop();
    return recorded;
}

Status finish_former_daemon(const DaemonOptions& options) {
    auto signals = StopSignals::block({SIGHUP});
    if (!signals) return pass_on(std::move(signals));
    raise_file_limit();
    keep_right_to_run_before_others();
    auto store = Store::open(options.store, /*create=*/false);
    if (!store) return pass_on(std::move(store));
    auto pins = Pins::of_store(options.store);
    if (!pins) return pass_on(std::move(pins));
    if (!pins->exist()) return {};
    auto lock = store->lock();
    if (!lock) return pass_on(std::move(lock));
    // Nobody is slowed for the sake of a capture that ends.
    DaemonOptions own = options;
    own.overload = Overload::gap;
    auto daemon = prepare(own, std::move(*store), *pins);
    if (!daemon) return pass_on(std::move(daemon));
    return (*daemon)->finish_former();
}

}  // namespace twinlog
