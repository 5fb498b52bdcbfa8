// The thread of least priority.
#include "store/housekeeper.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"

namespace twinlog {

namespace {

// Sizes are looked at so often; a flooder fills some 10 files of 20 MB in that time.
constexpr auto retention_interval = std::chrono::seconds(10);
constexpr int lowest_priority = 19;

// linux/ioprio.h, which C++ cannot read: this process or thread, class idle.
constexpr int ioprio_who_process = 1;
constexpr int ioprio_idle = 3 << 13;

void be_idle() {
    const auto self = static_cast<id_t>(::syscall(SYS_gettid));
    // Where it is refused, the work is done all the same.
    (void)::setpriority(PRIO_PROCESS, self, lowest_priority);
    (void)::syscall(SYS_ioprio_set, ioprio_who_process, 0, ioprio_idle);
}

}  // namespace

Housekeeper::~Housekeeper() {
    stop();
}

void Housekeeper::stop() {
    {
        const std::lock_guard lock(guard_);
        stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Housekeeper::start() {
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
}

void Housekeeper::compress(const std::shared_ptr<Rotation>& rotation) {
    {
        const std::lock_guard lock(guard_);
        const bool waits = std::find(queue_.begin(), queue_.end(), rotation) != queue_.end();
        if (!waits) queue_.push_back(rotation);
    }
    wake_.notify_one();
}

void Housekeeper::rotated(std::uint64_t bytes) {
    if (retention_.max_total == 0) return;
    const std::lock_guard lock(total_guard_);
    if (total_) *total_ += bytes;
    if (!total_ || *total_ > retention_.max_total) total_ = enforce_total(retention_, active_);
}

void Housekeeper::work() {
    be_idle();
    auto next_look = std::chrono::steady_clock::now();
    while (!stop_) {
        std::shared_ptr<Rotation> rotation;
        {
            std::unique_lock lock(guard_);
            const auto ready = [this] { return stop_ || !queue_.empty(); };
            if (retention_.any()) {
                wake_.wait_until(lock, next_look, ready);
            } else {
                wake_.wait(lock, ready);
            }
            if (stop_) return;
            if (!queue_.empty()) {
                rotation = std::move(queue_.front());
                queue_.pop_front();
            }
        }
        if (rotation) rotation->compress(stop_);
        if (!retention_.any() || std::chrono::steady_clock::now() < next_look) continue;
        enforce(retention_, active_, removed_, wall_time_now());
        next_look = std::chrono::steady_clock::now() + retention_interval;
    }
}

}  // namespace twinlog
