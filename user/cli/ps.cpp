// twinlog ps: lists the containers of a store.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/docker_time.h"
#include "base/escape.h"
#include "cli/command.h"
#include "cli/container_filter.h"
#include "cli/container_list.h"
#include "cli/table.h"

namespace twinlog {

namespace {

struct PsOptions {
    std::string store = "/var/lib/twinlog";
    std::string format = "table";
    bool all = false;
    bool quiet = false;
    bool whole_ids = false;
    std::vector<std::string> filters;
};

std::string status_text(const ContainerInfo& info, std::int64_t now_ns) {
    if (info.state == ContainerState::running) {
        const std::int64_t since = info.started_ns != 0 ? info.started_ns : info.captured_since_ns;
        return since == 0 ? "Up" : "Up " + human_duration(now_ns - since);
    }
    return info.ended_ns == 0 ? "Ended" : "Ended " + time_ago(info.ended_ns, now_ns);
}

std::string stream_text(const StreamCounters& stream) {
    if (stream.kind == "null") return "/dev/null";
    if (stream.kind.empty() && stream.bytes == 0) return "-";
    return format_size(stream.bytes);
}

std::string shown_id(const ContainerInfo& info, bool whole) {
    constexpr std::size_t short_id = 12;
    return escape_for_terminal(
        std::string_view(info.id).substr(0, whole ? info.id.size() : short_id));
}

std::vector<std::string> row(const ContainerInfo& info, std::int64_t now_ns, bool whole_id) {
    const StreamCounters& out = info.streams[0];
    const StreamCounters& err = info.streams[1];
    const std::string lost = format_size(out.lost + err.lost);
    const std::int64_t last_write = std::max(out.last_write_ns, err.last_write_ns);
    return {shown_id(info, whole_id),
            escape_for_terminal(info.name),
            escape_for_terminal(info.image),
            escape_for_terminal(info.runtime),
            escape_for_terminal(info.log_driver),
            status_text(info, now_ns),
            stream_text(out),
            stream_text(err),
            lost,
            time_ago(last_write, now_ns)};
}

Result<std::string> list(const PsOptions& options, const ContainerFilter& filter) {
    auto catalog = read_catalog_for_people(options.store);
    if (!catalog) return pass_on(std::move(catalog));
    const std::int64_t now_ns = local_time_reference().now_ns;
    std::vector<std::vector<std::string>> rows = {{"CONTAINER ID", "NAME", "IMAGE", "RUNTIME",
                                                   "DRIVER", "STATUS", "STDOUT", "STDERR", "LOST",
                                                   "LAST WRITE"}};
    std::string lines;
    for (const CatalogItem& item : catalog->containers) {
        const bool all = options.all || filter.asks_for_state();
        if (!all && item.info.state != ContainerState::running) continue;
        if (!filter.takes(item.info)) continue;
        if (options.format == "table") {
            if (options.quiet) {
                lines += shown_id(item.info, options.whole_ids) + '\n';
            } else {
                rows.push_back(row(item.info, now_ns, options.whole_ids));
            }
            continue;
        }
        // The members of container.json, on one line and in ASCII: nothing of it can act on a
        // terminal. Without exceptions: what to_json() made can be parsed.
        const auto json = nlohmann::ordered_json::parse(to_json(item.info), nullptr, false);
        lines += json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + '\n';
    }
    return options.format == "table" && !options.quiet ? format_table(rows) : lines;
}

int run_ps(const PsOptions& options) {
    ContainerFilter filter;
    for (const std::string& text : options.filters) {
        if (Status added = filter.add(text); !added) {
            report(added.error());
            return exit_usage;
        }
    }
    const auto text = list(options, filter);
    return text ? print_text(*text) : report(text.error());
}

}  // namespace

void register_ps(CLI::App& app, Action& chosen) {
    auto options = std::make_shared<PsOptions>();
    CLI::App* command = app.add_subcommand("ps", "Lists captured containers");
    command->add_flag("-a,--all", options->all, "Ended ones, too");
    command->add_flag("-q,--quiet", options->quiet, "Only ids");
    command->add_flag("--no-trunc", options->whole_ids, "Ids as a whole");
    command
        ->add_option("-f,--filter", options->filters,
                     "Only containers with name=REGEX, id=REGEX, status=running or exited, "
                     "label=KEY or label=KEY=VALUE; may be repeated")
        ->type_name("FILTER")
        ->allow_extra_args(false);
    add_format_option(*command, options->format);
    add_store_option(*command, options->store);
    command->callback([&chosen, options] { chosen = [options] { return run_ps(*options); }; });
}

}  // namespace twinlog
