#include "store/removal.h"

#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file_system.h"
#include "store/layout.h"
#include "store/log_end_json.h"

namespace twinlog {

namespace {

constexpr std::size_t max_removal_size = 4096;

std::string path_in(const std::string& directory) {
    return directory + "/" + std::string(layout::removal_file);
}

}  // namespace

Status save_removal(const std::string& directory, const Removal& removal) {
    nlohmann::json value = {{"limit", removal.limit}, {"time_ns", removal.time_ns}};
    for (const Source source : {Source::stdout_, Source::stderr_}) {
        value["log_end"][std::string(source_name(source))] =
            log_end_json(removal.ends[static_cast<std::size_t>(source)]);
    }
    return write_file_atomically(path_in(directory), value.dump(2) + "\n", layout::file_mode);
}

std::optional<Removal> read_removal(const std::string& directory) {
    const auto text = read_file(path_in(directory), max_removal_size);
    if (!text) return std::nullopt;
    try {
        const auto value = nlohmann::json::parse(*text);
        Removal removal;
        value.at("limit").get_to(removal.limit);
        value.at("time_ns").get_to(removal.time_ns);
        for (const Source source : {Source::stdout_, Source::stderr_}) {
            removal.ends[static_cast<std::size_t>(source)] =
                log_end_from_json(value.at("log_end").at(std::string(source_name(source))));
        }
        return removal;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

}  // namespace twinlog
