// LogEnd as container.json and removed.json have it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "store/container_info.h"

namespace twinlog {

nlohmann::json log_end_json(const LogEnd& end);
// Throws, as nlohmann does, where a member has another type.
LogEnd log_end_from_json(const nlohmann::json& value);

}  // namespace twinlog
