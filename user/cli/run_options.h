// What `twinlog run` would do, for those who do a part of it.
#pragma once

#include <string>

#include "base/result.h"
#include "daemon/daemon.h"

namespace twinlog {

// The options of `twinlog run --store STORE`, with --config unless that is empty.
Result<DaemonOptions> run_options(const std::string& store, const std::string& config);

}  // namespace twinlog
