// What the store refuses, told once: on a full disk each file of each container fails each second.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"

namespace twinlog {

class StoreTrouble {
 public:
    // A file of the store could not be written. What is to be said of it, with the way out; nothing
    // if it was said of another one. who: whose file it is. now_ns: of any clock that only goes on.
    std::optional<std::string> failed(const std::string& who, const Error& error,
                                      std::uint64_t now_ns);
    // Whether it works again, which is true once only: what fails is tried again each second, and
    // nothing has failed for longer.
    bool is_over(std::uint64_t now_ns);

 private:
    std::set<int> told_;  // errno
    std::uint64_t last_ns_ = 0;
};

}  // namespace twinlog
