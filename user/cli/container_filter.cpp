#include "cli/container_filter.h"

#include <algorithm>
#include <utility>

namespace twinlog {

namespace {

bool any_matches(const std::vector<Pattern>& patterns, std::string_view text) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [text](const Pattern& pattern) { return pattern.matches(text); });
}

}  // namespace

Status ContainerFilter::add(std::string_view text) {
    const std::string subject = "--filter " + std::string(text);
    const std::size_t equals = text.find('=');
    const std::string_view kind = text.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1);
    if (equals == std::string_view::npos || value.empty()) {
        return fail(subject, "not KIND=VALUE", "for example name=web or status=exited");
    }
    if (kind == "name" || kind == "id") {
        auto pattern = Pattern::compile(value, false);
        if (!pattern) return pass_on(std::move(pattern));
        (kind == "name" ? names_ : ids_).push_back(std::move(*pattern));
    } else if (kind == "label") {
        auto label = LabelFilter::parse(value);
        if (!label) return pass_on(std::move(label));
        labels_.push_back(std::move(*label));
    } else if (kind == "status") {
        const bool ended = value == "exited" || value == "ended";
        if (!ended && value != "running") {
            return fail(subject, "no such status", "running or exited");
        }
        states_.push_back(ended ? ContainerState::ended : ContainerState::running);
    } else {
        return fail(subject, "no such filter", "name=, id=, status= or label=");
    }
    return {};
}

bool ContainerFilter::takes(const ContainerInfo& info) const {
    // Docker's own form of a name begins with a slash, and `^/web$` is what many write.
    const bool name =
        names_.empty() || any_matches(names_, info.name) || any_matches(names_, "/" + info.name);
    const bool id = ids_.empty() || any_matches(ids_, info.id);
    const bool state =
        states_.empty() || std::find(states_.begin(), states_.end(), info.state) != states_.end();
    return name && id && state &&
           std::all_of(labels_.begin(), labels_.end(),
                       [&](const auto& label) { return label.matches(info); });
}

}  // namespace twinlog
