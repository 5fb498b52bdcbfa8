// Names in a store: where everything lies.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace twinlog::layout {

inline constexpr std::string_view lock_file = "daemon.lock";
inline constexpr std::string_view frozen_file = "frozen";
inline constexpr std::string_view info_file = "container.json";
inline constexpr std::string_view removal_file = "removed.json";
inline constexpr std::string_view log_file = "container-cached.log";

inline constexpr mode_t directory_mode = 0700;
inline constexpr mode_t file_mode = 0640;

// What waits for the daemon because it came faster than it could be written.
inline std::string spill_file(const std::string& store) {
    return store + "/spill";
}

inline std::string containers_directory(const std::string& store) {
    return store + "/containers";
}

inline std::string container_directory(const std::string& store, const std::string& id) {
    return containers_directory(store) + "/" + id;
}

// Number 0 is the live file, then 1, the newest rotated one, and so on to the oldest.
inline std::string log_name(int number) {
    std::string name(log_file);
    if (number > 0) name += "." + std::to_string(number);
    return name;
}

}  // namespace twinlog::layout
