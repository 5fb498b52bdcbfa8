// Whose a path in the CRI layout is. It is made of labels, so that two containers may name the same
// one: it stays that of the first, by a hidden file beside the log.
#pragma once

#include <string>

#include "format/log_format.h"

namespace twinlog {

// Where this container's log is, below pods.
std::string pod_path(const std::string& pods, const LogPlace& place, const std::string& id);
// The same for who writes it, after which it is this container's, unless the disk is full: a log
// that may be shared is better than none. Its directory must be there.
std::string claim_pod_path(const std::string& pods, const LogPlace& place, const std::string& id);
// log: path of a live file that is the container's. Another one may have it then.
void release_pod_path(const std::string& log, const std::string& id);

}  // namespace twinlog
