// container.json: ContainerInfo to JSON and back.
#include "store/container_info.h"

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/file_system.h"
#include "store/layout.h"
#include "store/log_end_json.h"

namespace twinlog {

namespace {

using nlohmann::json;

// A container.json has some KB; its labels may be many.
constexpr std::size_t max_info_size = 4U << 20U;

std::string_view state_name(ContainerState state) {
    return state == ContainerState::running ? "running" : "ended";
}

json counters_json(const StreamCounters& counters) {
    json value = {{"kind", counters.kind},       {"bytes", counters.bytes},
                  {"lost", counters.lost},       {"gaps", counters.gaps},
                  {"skipped", counters.skipped}, {"last_write_ns", counters.last_write_ns}};
    if (counters.end.run != 0) value["log_end"] = log_end_json(counters.end);
    return value;
}

// The functions below throw, as nlohmann's do, where a member has another type.

// Whole numbers only: nlohmann would turn 1e300 or -1 into whatever the cast gives.
template <class Number>
void read_number(const json& object, const char* key, Number& to) {
    const auto member = object.find(key);
    if (member == object.end()) return;
    const bool fits = member->is_number_unsigned()
                          ? std::in_range<Number>(member->template get<std::uint64_t>())
                          : member->is_number_integer() &&
                                std::in_range<Number>(member->template get<std::int64_t>());
    if (!fits) throw std::out_of_range(std::string(key) + " is not a number that it can have");
    to = member->template get<Number>();
}

StreamCounters counters_from(const json& value) {
    StreamCounters counters;
    counters.kind = value.value("kind", "");
    read_number(value, "bytes", counters.bytes);
    read_number(value, "lost", counters.lost);
    read_number(value, "gaps", counters.gaps);
    read_number(value, "skipped", counters.skipped);
    read_number(value, "last_write_ns", counters.last_write_ns);
    if (value.contains("log_end")) counters.end = log_end_from_json(value.at("log_end"));
    return counters;
}

ContainerInfo info_from(const json& value) {
    ContainerInfo info;
    value.at("id").get_to(info.id);
    if (info.id.empty()) throw std::out_of_range("id is empty");
    info.name = value.value("name", "");
    info.image = value.value("image", "");
    info.runtime = value.value("runtime", "");
    info.log_driver = value.value("log_driver", "");
    info.home = value.value("home", "");
    info.cgroup = value.value("cgroup", "");
    info.labels = value.value("labels", info.labels);
    info.log_attributes = value.value("log_attributes", info.log_attributes);
    info.tty = value.value("tty", false);
    if (value.contains("owner")) read_number(value, "owner", info.owner.emplace());
    read_number(value, "init_pid", info.init_pid);
    read_number(value, "run", info.run);
    info.from_start = value.value("from_start", false);
    read_number(value, "created_ns", info.created_ns);
    read_number(value, "started_ns", info.started_ns);
    read_number(value, "captured_since_ns", info.captured_since_ns);
    read_number(value, "ended_ns", info.ended_ns);
    read_number(value, "set_back_ns", info.set_back_ns);
    info.state = value.value("state", "ended") == state_name(ContainerState::running)
                     ? ContainerState::running
                     : ContainerState::ended;
    if (value.contains("streams")) {
        const auto& streams = value.at("streams").get_ref<const json::object_t&>();
        for (const Source source : {Source::stdout_, Source::stderr_}) {
            const std::string name(source_name(source));
            if (!streams.contains(name)) continue;
            info.streams[static_cast<std::size_t>(source)] = counters_from(streams.at(name));
        }
    }
    return info;
}

}  // namespace

json log_end_json(const LogEnd& end) {
    return {{"run", end.run}, {"position", end.position}, {"last", end.last}};
}

LogEnd log_end_from_json(const json& value) {
    LogEnd end;
    read_number(value, "run", end.run);
    read_number(value, "position", end.position);
    end.last = value.value("last", false);
    return end;
}

std::string to_json(const ContainerInfo& info) {
    json value = {
        {"id", info.id},
        {"name", info.name},
        {"image", info.image},
        {"runtime", info.runtime},
        {"log_driver", info.log_driver},
        {"home", info.home},
        {"cgroup", info.cgroup},
        {"labels", info.labels},
        {"log_attributes", info.log_attributes},
        {"tty", info.tty},
        {"init_pid", info.init_pid},
        {"run", info.run},
        {"from_start", info.from_start},
        {"created_ns", info.created_ns},
        {"started_ns", info.started_ns},
        {"captured_since_ns", info.captured_since_ns},
        {"ended_ns", info.ended_ns},
        {"set_back_ns", info.set_back_ns},
        {"state", state_name(info.state)},
        {"streams",
         {{"stdout", counters_json(info.streams[0])}, {"stderr", counters_json(info.streams[1])}}}};
    if (info.owner) value["owner"] = *info.owner;
    // A name need not be UTF-8, JSON must be.
    return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

ContainerInfo undescribed(const std::string& id) {
    ContainerInfo info;
    info.id = info.name = id;
    info.state = ContainerState::ended;
    return info;
}

std::int64_t last_known_ns(const ContainerInfo& info) {
    std::int64_t last = std::max(info.started_ns, info.captured_since_ns);
    for (const StreamCounters& stream : info.streams) last = std::max(last, stream.last_write_ns);
    return last;
}

Result<ContainerInfo> container_info_from_json(std::string_view text, const std::string& subject) {
    try {
        const json value = json::parse(text);
        if (!value.is_object()) return fail(subject, "it is no JSON object");
        return info_from(value);
    } catch (const std::exception& error) {
        return fail(subject, std::string("it is damaged: ") + error.what(),
                    "the log itself is untouched; `twinlog verify --repair` makes a new one");
    }
}

Result<ContainerInfo> read_container_info(const std::string& directory) {
    const std::string path = directory + "/" + std::string(layout::info_file);
    auto json = read_file(path, max_info_size);
    if (!json) return pass_on(std::move(json));
    return container_info_from_json(*json, path);
}

}  // namespace twinlog
