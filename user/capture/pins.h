// The directory in bpffs that keeps maps and links of a store alive while no daemon runs, so that
// what is written meanwhile is still there for the next one.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace twinlog {

// Not thread-safe.
class Pins {
 public:
    // The directory that belongs to a store; nothing is made. Mounts bpffs where it is missing.
    // Empty name if this host has no bpffs: then nothing outlives the daemon.
    static Result<Pins> of_store(const std::string& store);
    // No pins: for captures that end with their program.
    Pins() = default;

    [[nodiscard]] bool usable() const { return !directory_.empty(); }
    // Somebody left objects there.
    [[nodiscard]] bool exist() const;
    Status make();
    // Lets go of all objects; what no process holds ends.
    Status remove();
    // Path of one object.
    [[nodiscard]] std::string path(const std::string& object) const;
    [[nodiscard]] const std::string& directory() const { return directory_; }

    // Directories of all stores on this host.
    static std::vector<std::string> all();

 private:
    explicit Pins(std::string directory) : directory_(std::move(directory)) {}

    std::string directory_;
};

}  // namespace twinlog
