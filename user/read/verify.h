// Checks a container's directory in a store, and mends it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/container_info.h"

namespace twinlog {

struct VerifyOptions {
    bool repair = false;  // only while nobody else writes to the store
    bool live =
        false;         // a daemon writes: files in the making, and an end that grows, are no damage
    std::string pods;  // root of the CRI layout; empty: not looked at
};

struct Problem {
    std::string file;  // its path
    std::string what;  // with bytes and position where it has them
    bool mended = false;
};

struct Verification {
    std::vector<Problem> problems;
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;  // as they lie on disk
    std::uint64_t entries = 0;
};

// directory is a container's; its name is the container's id. With repair, every file that is
// touched gets its new contents at once or stays as it was; good entries are never dropped, and
// what is known to be missing of a stream becomes a gap. A directory that is not there has no
// problem.
Verification verify_container(const std::string& directory, const VerifyOptions& options);

}  // namespace twinlog
