// The attributes that a container's log options (labels, labels-regex, env, env-regex, tag) ask
// for. Source: moby daemon/logger/loginfo.go and loggerutils/log_tag.go.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace twinlog {

// config: a container's config.v2.json; host: its hostconfig.json. A tag whose template is more
// than fields is left out, and so is an expression that is none: dockerd starts no such container.
std::map<std::string, std::string> docker_log_attributes(const nlohmann::json& config,
                                                         const nlohmann::json& host);

}  // namespace twinlog
