// The list of formats: a new one adds its line here and touches no other.
#include <algorithm>
#include <array>

#include "format/cri.h"
#include "format/docker_local.h"
#include "format/json_file.h"
#include "format/log_format.h"
#include "format/raw.h"

namespace twinlog {

std::span<const LogFormat* const> formats() {
    static const std::array<const LogFormat*, 4> all = {
        &docker_local::format(),
        &json_file_format(),
        &cri_format(),
        &raw_format(),
    };
    return all;
}

Result<const LogFormat*> find_format(std::string_view name) {
    const auto all = formats();
    const auto found = std::find_if(
        all.begin(), all.end(), [name](const LogFormat* format) { return format->name() == name; });
    if (found != all.end()) return *found;
    std::string known;
    for (const LogFormat* format : all) {
        if (!known.empty()) known += ", ";
        known += format->name();
    }
    return fail("log format '" + std::string(name) + "'", "there is none of this name",
                "known are " + known);
}

}  // namespace twinlog
