// twinlog verify: checks a store's logs, and mends them.
#include "read/verify.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_size.h"
#include "base/escape.h"
#include "cli/command.h"
#include "cli/container_list.h"
#include "store/layout.h"
#include "store/store.h"

namespace twinlog {

namespace {

struct Arguments {
    std::string store = "/var/lib/twinlog";
    std::string pods;
    std::vector<std::string> containers;
    bool repair = false;
};

std::string title(const ContainerInfo& info) {
    constexpr std::size_t short_id = 12;
    return escape_for_terminal(info.name) + " (" +
           escape_for_terminal(info.id.substr(0, short_id)) + ")";
}

std::string counted(std::size_t number, std::string_view one, std::string_view several) {
    return format_grouped(number) + " " + std::string(number == 1 ? one : several);
}

struct Chosen {
    std::vector<CatalogItem> items;
    bool complete = true;  // else what is not there was told
};

// What is looked at: directories whose container.json cannot be read, too, when nobody chose.
Result<Chosen> choose(const Arguments& arguments) {
    auto catalog = read_catalog(arguments.store);
    if (!catalog) return pass_on(std::move(catalog));
    Chosen chosen;
    for (const std::string& wanted : arguments.containers) {
        auto found = find_container(*catalog, wanted);
        if (found) {
            chosen.items.push_back(std::move(*found));
        } else {
            report(found.error());
            chosen.complete = false;
        }
    }
    if (!arguments.containers.empty()) return chosen;
    for (const Error& error : catalog->unreadable) {
        const std::string directory = directory_of(error);
        const std::string id = directory.substr(directory.rfind('/') + 1);
        if (!safe_id(id)) continue;
        chosen.items.push_back({directory, undescribed(id)});
    }
    for (CatalogItem& item : catalog->containers) chosen.items.push_back(std::move(item));
    return chosen;
}

// The exit code.
Result<int> verify(const Arguments& arguments) {
    auto store = Store::open(arguments.store, /*create=*/false);
    if (!store) return pass_on(std::move(store));
    VerifyOptions options;
    options.repair = arguments.repair;
    options.pods = arguments.pods.empty() ? arguments.store + "/pods" : arguments.pods;
    // A daemon would write into the files while they are replaced.
    if (arguments.repair) {
        if (auto locked = store->lock(); !locked) return pass_on(std::move(locked));
    }
    const auto daemon = store->daemon_pid();
    const bool runs = !arguments.repair && daemon && *daemon;
    auto chosen = choose(arguments);
    if (!chosen) return pass_on(std::move(chosen));
    if (chosen->items.empty() && !chosen->complete) return exit_failure;

    std::string text;
    Verification all;
    std::size_t mended = 0;
    for (const CatalogItem& item : chosen->items) {
        options.live = runs && item.info.state == ContainerState::running;
        const Verification found = verify_container(item.directory, options);
        for (const Problem& problem : found.problems) {
            text += title(item.info) + ": " + escape_for_terminal(problem.file) + ": " +
                    escape_for_terminal(problem.what) + (problem.mended ? " (mended)\n" : "\n");
            mended += problem.mended ? 1 : 0;
        }
        all.files += found.files;
        all.bytes += found.bytes;
        all.entries += found.entries;
        all.problems.insert(all.problems.end(), found.problems.begin(), found.problems.end());
    }
    text += counted(chosen->items.size(), "container", "containers") + ", " +
            counted(all.files, "file", "files") + ", " + format_size(all.bytes) + ", " +
            counted(all.entries, "entry", "entries") + ": ";
    if (all.problems.empty()) {
        text += "all good\n";
    } else {
        text += counted(all.problems.size(), "problem", "problems");
        text += arguments.repair ? ", " + format_grouped(mended) + " mended\n"
                                 : std::string("; --repair mends what can be mended\n");
    }
    if (print_text(text) != exit_ok) return exit_failure;
    return mended == all.problems.size() && chosen->complete ? exit_ok : exit_failure;
}

}  // namespace

void register_verify(CLI::App& app, Action& chosen) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand(
        "verify",
        "Checks the logs in a store, their structure, lengths and positions, not "
        "what was written; exits with 1 if any is damaged");
    command->add_flag("--repair", arguments->repair,
                      "Mend what is damaged; no daemon may run with the store");
    add_store_option(*command, arguments->store);
    command
        ->add_option("--cri-root", arguments->pods,
                     "Directory of logs in CRI's layout. Without it: pods in the store")
        ->type_name("DIR");
    command
        ->add_option("CONTAINER", arguments->containers,
                     "Only this one: name, id, or the beginning of an id; all without it")
        ->type_name("");
    command->callback([&chosen, arguments] {
        chosen = [arguments] {
            const auto verified = verify(*arguments);
            return verified ? *verified : report(verified.error());
        };
    });
}

}  // namespace twinlog
