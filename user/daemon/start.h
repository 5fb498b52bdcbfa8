// A START record in the words of container/.
#pragma once

#include "container/registry.h"
#include "record.h"

namespace twinlog {

StartFacts start_facts(const tw_start& start);

// How long output of a container whose first process is gone is waited for while somebody still
// holds its pipe: what dockerd waits for its copier (loggerCloseTimeout in moby
// daemon/container/monitor.go).
constexpr std::uint64_t linger_ns = 10'000'000'000ULL;

}  // namespace twinlog
