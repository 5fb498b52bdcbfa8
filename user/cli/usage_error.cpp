#include "cli/usage_error.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/container_list.h"
#include "cli/diagnostics.h"

namespace twinlog {

namespace {

// The command that the words were for: the program itself until one is named.
const CLI::App& command_of(const CLI::App& app) {
    const auto chosen = app.get_subcommands();
    return chosen.empty() ? app : *chosen.back();
}

std::string title_of(const CLI::App& app, const CLI::App& command) {
    return &command == &app ? app.get_name() : app.get_name() + " " + command.get_name();
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

// The text up to the separator, which goes, too. Nothing is taken where there is none.
std::string_view take_until(std::string_view& text, std::string_view separator) {
    const std::size_t at = text.find(separator);
    if (at == std::string_view::npos) return {};
    const std::string_view taken = text.substr(0, at);
    text.remove_prefix(at + separator.size());
    return taken;
}

// "--name value": as it was given.
std::string given(std::string_view name, std::string_view value) {
    return std::string(name) + " " + (value.empty() ? "\"\"" : std::string(value));
}

// Its name is the command's.
bool is_unexpected(const CLI::ParseError& error) {
    return dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
}

// The first word that has no place; CLI11's own text has all of them, the last one first.
Error unexpected(const CLI::App& app) {
    const CLI::App* const place = app.remaining().empty() ? &command_of(app) : &app;
    const std::vector<std::string> words = place->remaining();
    const auto word =
        std::find_if(words.begin(), words.end(), [](const auto& item) { return item != "--"; });
    const std::string first = word == words.end() ? "--" : *word;
    const std::string help = title_of(app, *place) + " --help";
    if (first.size() > 1 && first.starts_with('-')) {
        return {{}, "unknown option " + first, 0, help + " lists them"};
    }
    if (place == &app && app.get_subcommands().empty()) {
        return {{}, "unknown command \"" + first + "\"", 0, help + " lists them"};
    }
    return {{}, "unexpected argument \"" + first + "\"", 0, help};
}

// CLI11 hands on what it found in a sentence only.
Error reworded(std::string_view text, const CLI::App& command) {
    std::string_view rest = text;
    if (take_prefix(rest, "Could not convert: ")) {
        const std::string_view name = take_until(rest, " = ");
        const CLI::Option* const option = command.get_option_no_throw(std::string(name));
        if (option != nullptr && option->get_expected_max() == 0) {
            return {given(name, rest), "neither true nor false", 0, {}};
        }
        // All values that are not taken as they are, are numbers.
        const bool digits = !rest.empty() && rest.find_first_not_of("0123456789") == rest.npos;
        return {given(name, rest), digits ? "too large" : "not a whole number from 0", 0, {}};
    }
    const std::string_view name = take_until(rest, ": ");
    if (!name.empty()) {
        if (rest.starts_with("1 required "))
            return {std::string(name), "its value is missing", 0, {}};
        if (rest.starts_with("At Most 1 required")) {
            return {std::string(name), "given more than once", 0, {}};
        }
        std::string_view choices = rest;
        const std::string_view value = take_until(choices, " not in {");
        if (choices.size() < rest.size() && choices.ends_with('}')) {
            choices.remove_suffix(1);
            std::string list;
            for (const std::string& choice : CLI::detail::split(std::string(choices), ',')) {
                list += (list.empty() ? "" : ", ") + choice;
            }
            return {given(name, value), "not one of " + list, 0, {}};
        }
        return {std::string(name), std::string(rest), 0, {}};
    }
    for (const auto& [verb, what] :
         {std::pair{" requires ", "needs "}, std::pair{" excludes ", "not together with "}}) {
        std::string_view other = text;
        const std::string_view option = take_until(other, verb);
        if (!option.empty()) return {std::string(option), what + std::string(other), 0, {}};
    }
    return {{}, std::string(text), 0, {}};
}

// Whose options the error is about.
const CLI::App& place_of(const CLI::App& app, const CLI::ParseError& error) {
    if (is_unexpected(error)) return app.remaining().empty() ? command_of(app) : app;
    const std::string subject = reworded(error.what(), app).subject;
    const auto options = app.get_options([&subject](const CLI::Option* option) {
        return subject == option->get_name() || subject.starts_with(option->get_name() + " ");
    });
    return options.empty() ? command_of(app) : app;
}

}  // namespace

Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
    if (is_unexpected(error)) return unexpected(app);
    const CLI::App& command = place_of(app, error);
    const std::string_view text = error.what();
    Error result;
    // What a configuration file has wrong begins with its path.
    const CLI::Option* const config = command.get_option_no_throw("--config");
    const std::string path = config != nullptr && !config->empty() ? config->results().back() : "";
    if (error.get_name() == "FileError" && path.empty()) {
        result = {{}, std::string(text), 0, {}};
    } else if (error.get_name() == "FileError") {
        // As config_file.cpp throws it: the path, and what read_file() met.
        const bool named = text.starts_with(path + ": ");
        result = {
            path, named ? std::string(text.substr(path.size() + 2)) : "cannot read it", 0, {}};
    } else if (!path.empty() && text.starts_with(path + ": ")) {
        result = {path, reworded(text.substr(path.size() + 2), command).message(), 0, {}};
    } else {
        result = reworded(text, command);
    }
    result.hint = title_of(app, command) + " --help";
    return result;
}

int end_parsing(const CLI::App& app, const CLI::ParseError& error) {
    if (error.get_name() == "CallForHelp") return print_text(app.help());
    if (error.get_name() == "CallForVersion") return print_text(app.version() + "\n");
    set_up_diagnostics(app);
    const CLI::App& command = place_of(app, error);
    report(usage_error(app, error), &command == &app ? "" : command.get_name());
    return exit_usage;
}

void register_help(CLI::App& app, Action& chosen) {
    auto name = std::make_shared<std::string>();
    CLI::App* help = app.add_subcommand("help", "Prints the help of a command, or of all");
    help->group("");
    help->add_option("COMMAND", *name, "Which command")->type_name("");
    help->callback([&app, &chosen, name] {
        chosen = [&app, name] {
            if (name->empty()) {
                // Not app.help(), which is that of the command that was chosen.
                return print_text(app.get_formatter()->make_help(&app, app.get_name(),
                                                                 CLI::AppFormatMode::Normal));
            }
            const auto found = app.get_subcommands(
                [name](const CLI::App* command) { return command->check_name(*name); });
            if (!found.empty()) return print_text(found.front()->help(app.get_name()));
            report(Error{
                {}, "unknown command \"" + *name + "\"", 0, app.get_name() + " --help lists them"});
            return exit_usage;
        };
    });
    CLI::App* version = app.add_subcommand("version", "Prints the version");
    version->group("");
    version->callback(
        [&app, &chosen] { chosen = [&app] { return print_text(app.version() + "\n"); }; });
}

}  // namespace twinlog
