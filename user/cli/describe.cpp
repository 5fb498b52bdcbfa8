// twinlog describe: shell completions and the manual page, made from the very registration that
// parses the command line, so that they cannot tell anything else. For the build; not in --help.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "cli/command.h"
#include "cli/container_list.h"

namespace twinlog {

namespace {

struct OptionModel {
    std::vector<std::string> names;    // with their dashes, short ones first; a positional's name
    std::string value;                 // what stands for its value in texts; empty: a flag
    std::vector<std::string> choices;  // all values that are taken; empty: any
    std::string preset;
    std::string environment;
    std::string description;
    bool takes_list = false;     // of choices, separated by commas
    bool behind_equals = false;  // a flag that also takes one of the choices, as --name=CHOICE only
    bool positional = false;
    bool required = false;
    bool many = false;
};

struct CommandModel {
    std::string name;  // empty: the options before the subcommand
    std::string description;
    std::vector<OptionModel> options;
};

struct ProgramModel {
    std::string version;
    std::vector<CommandModel> commands;  // the first one is the program itself
};

std::string join(const std::vector<std::string>& words, std::string_view separator) {
    std::string text;
    for (const std::string& word : words) {
        if (!text.empty()) text += separator;
        text += word;
    }
    return text;
}

std::string replace_all(std::string text, std::string_view what, std::string_view by) {
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
        text.replace(at, what.size(), by);
    }
    return text;
}

// CLI11 tells a member check only in the type's name: "TEXT:{table,json}".
std::vector<std::string> choices_of(const std::string& type) {
    const auto open = type.find(":{");
    if (open == std::string::npos) return {};
    return CLI::detail::split(type.substr(open + 2, type.find('}') - open - 2), ',');
}

OptionModel model_of(const CLI::Option& option) {
    OptionModel model;
    model.description = option.get_description();
    model.preset = option.get_default_str();
    model.environment = option.get_envname();
    model.required = option.get_required();
    model.many = option.get_expected_max() > 1;
    model.positional = option.get_positional();
    if (model.positional) {
        model.names = {option.get_name()};
        const std::string type = option.get_type_name();
        model.value = type == "FILE" ? type : option.get_name();
        return model;
    }
    for (const std::string& name : option.get_snames()) model.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) model.names.push_back("--" + name);
    const std::string type = option.get_type_name();
    if (option.get_expected_max() == 0) {
        model.choices = choices_of(type);
        model.behind_equals = !model.choices.empty();
        return model;
    }
    model.choices = choices_of(type);
    model.takes_list = !model.choices.empty() && option.get_delimiter() != '\0';
    model.value = model.choices.empty() || model.takes_list ? type.substr(0, type.find(':'))
                                                            : join(model.choices, "|");
    return model;
}

CommandModel model_of(const CLI::App& app, std::string name) {
    CommandModel model{std::move(name), app.get_description(), {}};
    for (const CLI::Option* option : app.get_options()) model.options.push_back(model_of(*option));
    return model;
}

ProgramModel model_of(const CLI::App& app) {
    ProgramModel model;
    model.version = app.version();
    model.commands.push_back(model_of(app, ""));
    const auto visible = [](const CLI::App* command) { return !command->get_group().empty(); };
    for (const CLI::App* command : app.get_subcommands(visible)) {
        model.commands.push_back(model_of(*command, command->get_name()));
    }
    return model;
}

std::string single_quoted(const std::string& text) {
    return "'" + replace_all(text, "'", R"('\'')") + "'";
}

// One line a command: what can follow it; one line an option: what its value can be.
std::string bash_tables(const ProgramModel& program) {
    std::string words = "_twinlog_words() {\n    case $1 in\n";
    std::string values = "_twinlog_values() {\n    case $1 in\n";
    std::vector<std::string> names;
    for (const CommandModel& command : program.commands) {
        if (!command.name.empty()) names.push_back(command.name);
        std::vector<std::string> options;
        for (const OptionModel& option : command.options) {
            for (const std::string& name : option.names) {
                if (!option.positional) options.push_back(name);
                if (option.value.empty() && !option.behind_equals) continue;
                const std::string kind = option.choices.empty()
                                             ? option.value
                                             : (option.behind_equals ? "EQUALS " : "CHOICE ") +
                                                   join(option.choices, " ");
                const std::string key =
                    command.name + " " + (option.positional ? "positional" : name);
                values +=
                    "        " + single_quoted(key) + ") echo " + single_quoted(kind) + " ;;\n";
            }
        }
        words += "        " + single_quoted(command.name) + ") echo " +
                 single_quoted(join(options, " ")) + " ;;\n";
    }
    values +=
        "        ' positional') echo " + single_quoted("CHOICE " + join(names, " ")) + " ;;\n";
    return words + "    esac\n}\n\n" + values + "    esac\n}";
}

std::string zsh_action(const OptionModel& option) {
    if (!option.choices.empty()) return "(" + join(option.choices, " ") + ")";
    if (option.value == "CONTAINER") return "_twinlog_containers";
    if (option.value == "COMMAND") return "_normal";
    if (option.value == "DIR") return "_directories";
    if (option.value == "FILE") return "_files";
    if (option.value == "PID") return "_pids";
    return " ";
}

// One word of _arguments. Brackets and colons would end its explanation.
std::string zsh_argument(const OptionModel& option) {
    std::string text = replace_all(option.description, "[", "(");
    text = replace_all(replace_all(text, "]", ")"), ":", "\\:");
    const std::string value = option.value.empty() ? "" : ":value:" + zsh_action(option);
    if (option.positional) {
        const std::string which = option.value == "COMMAND" ? "*::" : option.many ? "*:" : ":";
        return single_quoted(which + option.value + ":" + zsh_action(option));
    }
    // A second time only where that means something.
    const std::string repeats = option.many ? "*" : "(" + join(option.names, " ") + ")";
    std::vector<std::string> words;
    for (const std::string& name : option.names) {
        const bool takes_equals = !option.value.empty() && name.starts_with("--");
        words.push_back(
            single_quoted(repeats + name + (takes_equals ? "=" : "") + "[" + text + "]" + value));
    }
    return join(words, " \\\n        ");
}

std::string zsh_functions(const ProgramModel& program) {
    std::string text = "_twinlog_commands() {\n    local -a commands=(\n";
    for (const CommandModel& command : program.commands) {
        if (command.name.empty()) continue;
        text += "        " + single_quoted(command.name + ":" + command.description) + "\n";
    }
    text += "    )\n    _describe command commands\n}";
    for (const CommandModel& command : program.commands) {
        std::string arguments;
        for (const OptionModel& option : command.options) {
            arguments += " \\\n        " + zsh_argument(option);
        }
        text += command.name.empty() ? "\n\n_twinlog_options=(" + arguments + ")"
                                     : "\n\n_twinlog_options_" + command.name +
                                           "() {\n    _arguments -s -S" + arguments + "\n}";
    }
    return text;
}

// What fish can offer for a value; empty: nothing.
std::string fish_values(const OptionModel& option) {
    if (!option.choices.empty()) return join(option.choices, " ");
    if (option.value == "CONTAINER") return "(__twinlog_containers)";
    if (option.value == "COMMAND") return "(__fish_complete_subcommand --fcs-skip=2)";
    if (option.value == "DIR") return "(__fish_complete_directories)";
    if (option.value == "FILE") return "(__fish_complete_path)";
    if (option.value == "PID") return "(__fish_complete_pids)";
    return "";
}

std::string fish_commands(const ProgramModel& program) {
    std::string text = "set -g __twinlog_valued";
    for (const OptionModel& option : program.commands.front().options) {
        if (!option.value.empty()) text += " " + join(option.names, " ");
    }
    text += "\n";
    for (const CommandModel& command : program.commands) {
        const std::string start =
            "complete -c twinlog -n " + single_quoted("__twinlog_command " + command.name);
        if (!command.name.empty()) {
            text += "complete -c twinlog -n '__twinlog_command ' -a " + command.name + " -d " +
                    single_quoted(command.description) + "\n";
        }
        for (const OptionModel& option : command.options) {
            text += start;
            for (const std::string& name : option.names) {
                if (option.positional) continue;
                text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
            }
            const std::string values = fish_values(option);
            if (!option.value.empty() && !option.positional) text += " -x";
            if (!values.empty() && !option.behind_equals) text += " -a " + single_quoted(values);
            if (!option.positional) text += " -d " + single_quoted(option.description);
            text += "\n";
        }
    }
    text.pop_back();
    return text;
}

std::string roff(std::string text) {
    text = replace_all(replace_all(std::move(text), "\\", "\\e"), "-", "\\-");
    return text.starts_with('.') || text.starts_with('\'') ? "\\&" + text : text;
}

std::string man_option(const OptionModel& option) {
    std::string head;
    for (const std::string& name : option.names) {
        head += (head.empty() ? "" : ", ") + ("\\fB" + roff(name) + "\\fR");
    }
    if (option.positional) {
        head = "\\fI" + roff(option.names.front()) + "\\fR";
    } else if (!option.choices.empty() && !option.takes_list) {
        head += option.behind_equals ? "" : " " + roff(option.value);
    } else if (!option.value.empty()) {
        head += " \\fI" + roff(option.value) + "\\fR";
    }
    std::string text = ".TP\n" + head + "\n" + roff(option.description) + ".";
    if (!option.preset.empty()) text += " Default: " + roff(option.preset) + ".";
    if (!option.environment.empty()) {
        text += " If it is not given: \\fB" + roff(option.environment) + "\\fR of the environment.";
    }
    return text + "\n";
}

std::string man_sections(const ProgramModel& program) {
    std::string text = ".SH COMMANDS\n";
    for (const CommandModel& command : program.commands) {
        if (command.name.empty()) continue;
        text += ".SS twinlog " + roff(command.name) + " [OPTION]...";
        for (const OptionModel& option : command.options) {
            if (!option.positional) continue;
            const std::string value = roff(option.names.front()) + (option.many ? "..." : "");
            text += option.required ? " " + value : " [" + value + "]";
        }
        text += "\n" + roff(command.description) + ".\n";
        for (const OptionModel& option : command.options) {
            // Said once for all of them.
            if (option.names.back() != "--help") text += man_option(option);
        }
    }
    text += ".SH OPTIONS\nThese stand before the command;\n.B \\-\\-help\nmay also follow it.\n";
    for (const OptionModel& option : program.commands.front().options) text += man_option(option);
    text.pop_back();
    return text;
}

struct Format {
    std::string_view name;
    std::string (*describe)(const ProgramModel&);
};

constexpr std::array<Format, 4> formats{{{"bash", bash_tables},
                                         {"zsh", zsh_functions},
                                         {"fish", fish_commands},
                                         {"man", man_sections}}};

struct DescribeOptions {
    std::string format;
    std::string frame;
};

Result<std::string> describe(const CLI::App& app, const DescribeOptions& options) {
    const auto* const format = std::find_if(
        formats.begin(), formats.end(),
        [&options](const Format& candidate) { return candidate.name == options.format; });
    auto frame = read_file(options.frame, 1U << 20U);
    if (!frame) return frame;
    const ProgramModel program = model_of(app);
    std::string text = replace_all(std::move(*frame), "@VERSION@", program.version);
    return replace_all(std::move(text), "@COMMANDS@", format->describe(program));
}

}  // namespace

void register_describe(CLI::App& app, Action& chosen) {
    auto options = std::make_shared<DescribeOptions>();
    CLI::App* command = app.add_subcommand("describe", "Prints completions or the manual page");
    command->group("");
    command->add_option("FORMAT", options->format, "Of what is printed")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish", "man"}));
    command
        ->add_option("FRAME", options->frame,
                     "The text around it, with @COMMANDS@ where it belongs")
        ->required();
    command->callback([&app, &chosen, options] {
        chosen = [&app, options] {
            const auto text = describe(app, *options);
            return text ? print_text(*text) : report(text.error());
        };
    });
}

}  // namespace twinlog
