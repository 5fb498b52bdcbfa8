#include "cli/config_file.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace twinlog {

namespace {

void take(CLI::Option& option, const CLI::ConfigItem& item, const CLI::ConfigTOML& format) {
    if (option.get_expected_min() == 0) {
        option.add_result(option.get_flag_value(item.name, format.to_flag(item)));
    } else {
        option.add_result(item.inputs);
    }
    option.run_callback();
}

// CLI11 passes over lines of less than three characters.
void refuse_short_lines(const std::string& path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        CLI::detail::trim(line);
        if (line.size() < 3 && line.find('=') != std::string::npos) {
            throw CLI::ValidationError(path, "this is no option: " + line);
        }
    }
}

void read_into(CLI::App& command, const std::string& path, UnknownNames unknown) {
    refuse_short_lines(path);
    CLI::ConfigTOML format;
    std::set<const CLI::Option*> in_file;
    for (const CLI::ConfigItem& item : format.from_file(path)) {
        if (item.name.empty()) throw CLI::ValidationError(path, "a value without an option");
        CLI::Option* option =
            item.parents.empty() ? command.get_option_no_throw("--" + item.name) : nullptr;
        if (option == nullptr || !option->get_configurable()) {
            if (unknown == UnknownNames::ignored) continue;
            throw CLI::ValidationError(path, "there is no option " + item.fullname());
        }
        const bool again = in_file.contains(option);
        // The command line or the environment has it.
        if (!again && !option->empty()) continue;
        in_file.insert(option);
        // CLI11 makes one item of lines of one name that follow one another.
        const bool is_list = option->get_expected_max() > 1;
        if (!is_list && (again || item.inputs.size() > 1)) {
            throw CLI::ValidationError(path, "more than one value for " + item.name);
        }
        try {
            take(*option, item, format);
        } catch (const CLI::ParseError& error) {
            throw CLI::ValidationError(path, error.what());
        }
    }
}

}  // namespace

std::shared_ptr<const std::string> add_config_option(CLI::App& command, UnknownNames unknown) {
    auto path = std::make_shared<std::string>();
    command
        .add_option("--config", *path,
                    "Read options from this file, which has one a line by its long name")
        ->type_name("FILE")
        ->configurable(false);
    command.parse_complete_callback([&command, path, unknown] {
        if (!path->empty()) read_into(command, *path, unknown);
    });
    return path;
}

}  // namespace twinlog
