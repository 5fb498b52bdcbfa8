#include "daemon/daemon.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/signals.h"
#include "container/process.h"
#include "container/registry.h"
#include "daemon/recorder.h"
#include "store/store.h"

namespace twinlog {

namespace {

using namespace std::chrono_literals;

// Entries wait so long at most for those of the other stream, and bytes for their writer.
constexpr auto longest_hold = 100ms;
constexpr std::uint64_t most_uncommitted = 16ULL << 20;

// Counters and names are for people: once a second is often enough.
constexpr auto housekeeping = 1s;
// Ends get lost only where the kernel has no room for 24 bytes.
constexpr auto lost_ends_check = 10s;
// How often the holders of an ended container's pipes are looked at, and what is held for its time.
constexpr auto waiting_tick = 50ms;
// Looking walks all open files of the host, and a container can have very many: no more than this
// part of the time goes into it.
constexpr int look_share = 10;

class Daemon {
 public:
    Daemon(Store store, std::unique_ptr<Capture> capture, Selection selection,
           LogWriter::Options log_options, OnStop on_stop)
        : store_(std::move(store)),
          capture_(std::move(capture)),
          selection_(std::move(selection)),
          recorder_(*capture_, store_, registry_, selection_, log_options),
          on_stop_(on_stop) {}

    Status start();
    Status record_until(const StopSignals& signals);
    void stop();
    // From here on a crash must not end the capture.
    void may_outlive() { capture_->keep_pins(); }
    [[nodiscard]] std::size_t running() const { return recorder_.running(); }

 private:
    bool drain();
    bool held_too_long();
    void drain_pass();
    Status look_at_streams();
    void keep_house();

    Store store_;
    std::unique_ptr<Capture> capture_;
    Registry registry_ = Registry::of_host();
    Selection selection_;
    Recorder recorder_;
    std::chrono::steady_clock::time_point last_housekeeping_;
    std::chrono::steady_clock::time_point last_lost_ends_check_;
    std::chrono::steady_clock::time_point next_look_;
    std::uint64_t missed_runs_ = 0;
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
    if (recorder_.holds_last_copy()) {
        if (!held_too_long()) return complete;
        recorder_.let_go();
        recorder_.flush();
    }
    held_since_.reset();
    recorder_.save_checkpoints();
    capture_->commit();
    return complete;
}

// What is held back keeps the ring's room from being given back.
bool Daemon::held_too_long() {
    const auto now = std::chrono::steady_clock::now();
    if (!held_since_) held_since_ = now;
    return now - *held_since_ > longest_hold || capture_->uncommitted() > most_uncommitted;
}

// Everything that was recorded before the call. One pass may be under way, so it takes another.
void Daemon::drain_pass() {
    for (int pass = 0; pass < 2; ++pass) {
        while (!drain()) {
        }
    }
}

Status Daemon::start() {
    if (capture_->taken_over()) recorder_.restore();
    if (auto attached = capture_->attach(); !attached) return attached;
    if (selection_.everything() || !selection_.containers.empty()) {
        if (auto seeded = capture_->seed(); !seeded) return seeded;
    }
    const ProcFs proc;
    for (const std::uint32_t pid : selection_.pids) {
        if (auto process = proc.stat(pid); !process) return pass_on(std::move(process));
        if (recorder_.records(pid)) continue;
        if (auto seeded = capture_->seed_pid(pid); !seeded) return seeded;
    }
    drain_pass();
    if (capture_->taken_over()) {
        recorder_.abandon_unknown();
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
    recorder_.refresh_metadata();
    recorder_.save_changes();
    if (now - last_lost_ends_check_ >= lost_ends_check) {
        last_lost_ends_check_ = now;
        recorder_.look_for_lost_ends();
        recorder_.pay_debts();
        if (recorder_.wants_seed()) {
            if (auto seeded = capture_->seed(); !seeded)
                spdlog::error("{}", seeded.error().message());
        }
    }
    const std::uint64_t missed = capture_->missed_runs();
    if (missed != missed_runs_) {
        spdlog::error(
            "the kernel skipped {} runs of the capture programs; what was written then is "
            "missing from the logs without a trace",
            missed - missed_runs_);
        missed_runs_ = missed;
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

Status Daemon::record_until(const StopSignals& signals) {
    for (;;) {
        if (drain()) {
            if (auto looked = look_at_streams(); !looked) return looked;
            const auto at_most = recorder_.anybody_ending() || waits_
                                     ? std::chrono::milliseconds(waiting_tick)
                                     : std::chrono::milliseconds(housekeeping);
            auto stop = capture_->wait(signals.fd(), at_most);
            if (!stop) return pass_on(std::move(stop));
            if (*stop) return {};
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
        capture_->commit();
        capture_->keep_pins();
        return;
    }
    // Before the last look: what comes after it would be counted and not recorded.
    capture_->unpin();
    capture_->detach();
    auto look = capture_->look();
    if (!look) spdlog::error("{}", look.error().message());
    drain_pass();
    recorder_.let_go();
    const StreamsLook last = look ? std::move(*look) : StreamsLook{};
    recorder_.finish(recorder_.ended_runs(last), last);
    recorder_.finish_all(last);
}

// Each container takes two descriptors and one for each further log; 1024 is the usual soft limit.
void raise_file_limit() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

Status run_daemon(const DaemonOptions& options) {
    // Before anything starts that a signal could interrupt half-way.
    auto signals = StopSignals::block();
    if (!signals) return pass_on(std::move(signals));
    raise_file_limit();
    auto store = Store::open(options.store, /*create=*/true);
    if (!store) return pass_on(std::move(store));
    auto lock = store->lock();
    if (!lock) return pass_on(std::move(lock));
    if (options.log.housekeeper) options.log.housekeeper->start();
    auto pins = Pins::of_store(options.store);
    if (!pins) return pass_on(std::move(pins));
    if (!pins->usable()) {
        spdlog::warn("there is no bpffs: what is written while no daemon runs will be missing");
    }
    CaptureOptions capture_options = options.capture;
    capture_options.pins = *pins;
    auto capture = Capture::load(capture_options);
    if (!capture) return pass_on(std::move(capture));

    Daemon daemon(std::move(*store), std::move(*capture), options.selection, options.log,
                  options.on_stop);
    if (auto started = daemon.start(); !started) return started;
    daemon.may_outlive();
    std::fprintf(stderr, "ready: capturing %zu containers\n", daemon.running());
    ::sd_notify(0, "READY=1");
    auto recorded = daemon.record_until(*signals);
    ::sd_notify(0, "STOPPING=1");
    daemon.stop();
    return recorded;
}

}  // namespace twinlog
