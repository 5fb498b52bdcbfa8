#include "cli/config_file.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

namespace twinlog {

namespace {

void read_into(CLI::App& command, const std::string& path, UnknownNames unknown) {
    CLI::ConfigTOML format;
    for (const CLI::ConfigItem& item : format.from_file(path)) {
        CLI::Option* option =
            item.parents.empty() ? command.get_option_no_throw("--" + item.name) : nullptr;
        if (option == nullptr || !option->get_configurable()) {
            if (unknown == UnknownNames::ignored) continue;
            throw CLI::ValidationError(path, "there is no option " + item.fullname());
        }
        if (!option->empty()) continue;
        if (option->get_expected_min() == 0) {
            option->add_result(option->get_flag_value(item.name, format.to_flag(item)));
        } else {
            option->add_result(item.inputs);
        }
        option->run_callback();
    }
}

}  // namespace

void add_config_option(CLI::App& command, UnknownNames unknown) {
    auto path = std::make_shared<std::string>();
    command
        .add_option("--config", *path,
                    "Read options from this file, which has one a line by its long name")
        ->type_name("FILE")
        ->configurable(false);
    command.parse_complete_callback([&command, path, unknown] {
        if (!path->empty()) read_into(command, *path, unknown);
    });
}

}  // namespace twinlog
