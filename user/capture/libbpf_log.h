// What libbpf says of itself, in the daemon's own log.
#pragma once

namespace twinlog {

// For the whole process; before the first call of libbpf.
void log_what_libbpf_says();

}  // namespace twinlog
