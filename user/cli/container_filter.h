// --filter of `twinlog ps`, as docker ps has it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/log_session.h"
#include "read/pattern.h"
#include "store/container_info.h"

namespace twinlog {

class ContainerFilter {
 public:
    // Adds name=, id=, status= or label=. Of one kind any has to fit, of labels all.
    Status add(std::string_view text);

    // A container's state was asked for: then all are looked at, as docker does.
    [[nodiscard]] bool asks_for_state() const { return !states_.empty(); }
    [[nodiscard]] bool takes(const ContainerInfo& info) const;

 private:
    std::vector<Pattern> names_;
    std::vector<Pattern> ids_;
    std::vector<ContainerState> states_;
    std::vector<LabelFilter> labels_;
};

}  // namespace twinlog
