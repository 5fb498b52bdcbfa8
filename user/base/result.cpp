#include "base/result.h"

#include <cstring>

namespace twinlog {

std::string Error::message() const {
    std::string text = subject;
    const auto add = [&text](std::string_view separator, std::string_view part) {
        if (part.empty()) return;
        if (!text.empty()) text += separator;
        text += part;
    };
    add(": ", what);
    if (code != 0) add(": ", std::strerror(code));
    add(" — ", hint);
    return text;
}

}  // namespace twinlog
