#include "cli/config_file.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/escape.h"
#include "base/file_system.h"

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

constexpr std::size_t max_config_size = 1U << 20U;

// CLI11 takes what it cannot read, a directory for one, for an empty file.
std::string text_of(const std::string& path) {
    auto text = read_file(path, max_config_size);
    if (!text) throw CLI::FileError(text.error().message(), CLI::ExitCodes::FileError);
    return std::move(*text);
}

// A list that goes on in the next line, as CLI11 finds it.
bool opens_list(std::string value) {
    value.resize(std::min(value.find('#'), value.size()));
    CLI::detail::trim(value);
    return value.size() > 1 && value.front() == '[' && value.back() != ']';
}

// What CLI11 passes over, as lines of less than three characters, or what it makes of them is to be
// found nowhere in the file.
void refuse_lines(const CLI::App& command, const std::string& path, const std::string& text) {
    std::istringstream lines(text);
    std::size_t number = 0;
    bool in_list = false;
    for (std::string line; std::getline(lines, line);) {
        ++number;
        CLI::detail::trim(line);
        if (in_list) {
            in_list = !line.ends_with(']');
            continue;
        }
        if (line.empty() || line.front() == '#' || line.front() == ';') continue;
        const auto refuse = [&](const std::string& why) {
            throw CLI::ValidationError(path, "line " + std::to_string(number) + ", " +
                                                 escape_for_terminal(line) + ": " + why);
        };
        if (line.size() < 3) refuse("this is no option");
        if (line.front() == '[') refuse("there are no sections: options stand by themselves");
        const std::size_t equals = line.find('=');
        if (equals != std::string::npos) {
            in_list = opens_list(line.substr(equals + 1));
            continue;
        }
        line.resize(std::min(line.find('#'), line.size()));
        CLI::detail::trim(line);
        const CLI::Option* const option = command.get_option_no_throw("--" + line);
        if (option != nullptr && option->get_expected_min() > 0) refuse("it lacks = and a value");
    }
}

void read_into(CLI::App& command, const std::string& path, UnknownNames unknown) {
    const std::string text = text_of(path);
    refuse_lines(command, path, text);
    std::istringstream lines(text);
    CLI::ConfigTOML format;
    std::set<const CLI::Option*> in_file;
    for (const CLI::ConfigItem& item : format.from_config(lines)) {
        if (item.name.empty()) throw CLI::ValidationError(path, "a value without an option");
        CLI::Option* option =
            item.parents.empty() ? command.get_option_no_throw("--" + item.name) : nullptr;
        if (option == nullptr || !option->get_configurable()) {
            if (unknown == UnknownNames::ignored) continue;
            throw CLI::ValidationError(
                path, "there is no option " + escape_for_terminal(item.fullname()));
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
