// The kernel's record times to wall time.
#pragma once

#include <cstdint>

namespace twinlog {

// CLOCK_BOOTTIME now, ns.
std::uint64_t boot_time_now();
// CLOCK_REALTIME now, Unix ns.
std::int64_t wall_time_now();

// The wall time of a CLOCK_BOOTTIME moment, by the offset of the two clocks as update_wall_clock()
// found it. So a step of the clock moves later entries and reorders none of a batch. 0 gives now.
std::int64_t wall_time(std::uint64_t boot_time);
void update_wall_clock();

}  // namespace twinlog
