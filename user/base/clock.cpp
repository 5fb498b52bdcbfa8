#include "base/clock.h"

#include <ctime>

namespace twinlog {

namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

std::int64_t now(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return time.tv_sec * second_ns + time.tv_nsec;
}

// One daemon, one thread that records: no lock.
std::int64_t& wall_offset() {
    static std::int64_t offset = now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME);
    return offset;
}

}  // namespace

std::uint64_t boot_time_now() {
    return static_cast<std::uint64_t>(now(CLOCK_BOOTTIME));
}

std::int64_t wall_time_now() {
    return now(CLOCK_REALTIME);
}

std::int64_t wall_time(std::uint64_t boot_time) {
    if (boot_time == 0) return wall_time_now();
    return static_cast<std::int64_t>(boot_time) + wall_offset();
}

void update_wall_clock() {
    wall_offset() = now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME);
}

}  // namespace twinlog
