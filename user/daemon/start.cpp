#include "daemon/start.h"

#include <cstring>

#include "base/clock.h"

namespace twinlog {

StartFacts start_facts(const tw_start& start) {
    StartFacts facts{.pid = start.pid,
                     .start_boottime_ns = start.start_time,
                     .started_ns = wall_time(start.start_time),
                     .pidns = start.pidns & ~TW_PLACE_PIDNS,
                     .level = start.level,
                     .ns_pid = start.ns_pid,
                     .cgroup = {},
                     .by_pid = (start.flags & TW_START_BY_PID) != 0};
    for (const auto& name : start.cgroup) {
        facts.cgroup.emplace_back(name, ::strnlen(name, sizeof(name)));
    }
    return facts;
}

}  // namespace twinlog
