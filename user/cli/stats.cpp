// twinlog stats: the counters of each container's streams.
#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/docker_time.h"
#include "base/escape.h"
#include "cli/command.h"
#include "cli/container_list.h"
#include "cli/table.h"

namespace twinlog {

namespace {

struct StatsOptions {
    std::string store = "/var/lib/twinlog";
    std::string format = "table";
    std::vector<std::string> containers;
};

std::string time_text(std::int64_t time_ns) {
    if (time_ns == 0) return "-";
    std::string text;
    append_docker_time(time_ns, text);
    return text;
}

struct Chosen {
    std::vector<ContainerInfo> containers;
    bool complete = true;  // else what is not there was told
};

// The named containers, the running ones if none is named.
Result<Chosen> choose(const StatsOptions& options) {
    auto catalog = read_catalog_for_people(options.store);
    if (!catalog) return pass_on(std::move(catalog));
    Chosen chosen;
    for (const std::string& name : options.containers) {
        auto found = find_container(*catalog, name);
        if (found) {
            chosen.containers.push_back(std::move(found->info));
        } else {
            report(found.error());
            chosen.complete = false;
        }
    }
    if (!options.containers.empty()) return chosen;
    for (CatalogItem& item : catalog->containers) {
        if (item.info.state == ContainerState::running) {
            chosen.containers.push_back(std::move(item.info));
        }
    }
    return chosen;
}

// The exit code.
Result<int> list(const StatsOptions& options) {
    auto chosen = choose(options);
    if (!chosen) return pass_on(std::move(chosen));
    if (chosen->containers.empty() && !chosen->complete) return exit_failure;
    std::vector<std::vector<std::string>> rows = {{"CONTAINER ID", "NAME", "STREAM", "KIND",
                                                   "BYTES", "LOST", "GAPS", "SKIPPED",
                                                   "LAST WRITE"}};
    std::string lines;
    for (const ContainerInfo& info : chosen->containers) {
        for (const Source source : {Source::stdout_, Source::stderr_}) {
            const StreamCounters& stream = info.streams[static_cast<std::size_t>(source)];
            // A container with a terminal has no stderr of its own.
            if (stream.kind.empty() && stream.bytes == 0) continue;
            if (options.format == "table") {
                rows.push_back({escape_for_terminal(std::string_view(info.id).substr(0, 12)),
                                escape_for_terminal(info.name), std::string(source_name(source)),
                                escape_for_terminal(stream.kind), std::to_string(stream.bytes),
                                std::to_string(stream.lost), std::to_string(stream.gaps),
                                std::to_string(stream.skipped), time_text(stream.last_write_ns)});
                continue;
            }
            nlohmann::ordered_json json;
            json["id"] = info.id;
            json["name"] = info.name;
            json["stream"] = source_name(source);
            json["kind"] = stream.kind;
            json["bytes"] = stream.bytes;
            json["lost"] = stream.lost;
            json["gaps"] = stream.gaps;
            json["skipped"] = stream.skipped;
            json["last_write_ns"] = stream.last_write_ns;
            // ASCII only: nothing of it can act on a terminal.
            lines += json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + '\n';
        }
    }
    const int printed = print_text(options.format == "table" ? format_table(rows) : lines);
    return chosen->complete ? printed : exit_failure;
}

}  // namespace

void register_stats(CLI::App& app, Action& chosen) {
    auto options = std::make_shared<StatsOptions>();
    CLI::App* command = app.add_subcommand("stats", "Counters of containers' streams");
    add_format_option(*command, options->format);
    add_store_option(*command, options->store);
    command
        ->add_option("CONTAINER", options->containers,
                     "Names, ids, or beginnings of ids; all running ones if none is given")
        ->type_name("");
    command->callback([&chosen, options] {
        chosen = [options] {
            const auto listed = list(*options);
            return listed ? *listed : report(listed.error());
        };
    });
}

}  // namespace twinlog
