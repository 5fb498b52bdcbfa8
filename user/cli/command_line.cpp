#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>
#include <utility>

namespace twinlog {

namespace {

bool takes_value(const CLI::App& command, const std::string& name) {
    const CLI::Option* const option = command.get_option_no_throw(name);
    return option != nullptr && option->get_expected_min() > 0;
}

// Of "-n" and "-fn", not of "-n5": whether the next word is the value.
bool short_options_wait(const CLI::App& command, std::string_view word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
        if (takes_value(command, {'-', word[i]})) return i + 1 == word.size();
    }
    return false;
}

// "--name=" becomes two words, of which the second is empty.
std::vector<std::string> with_empty_values(const CLI::App& app, std::vector<std::string> words) {
    const CLI::App* command = &app;
    std::vector<std::string> result;
    bool is_value = false;
    for (auto word = words.begin(); word != words.end(); ++word) {
        if (*word == "--" && !is_value) {
            std::move(word, words.end(), std::back_inserter(result));
            break;
        }
        const std::size_t equals = word->find('=');
        const std::string name = word->substr(0, equals);
        if (std::exchange(is_value, false)) {
            result.push_back(std::move(*word));
        } else if (name.starts_with("--")) {
            const bool takes = takes_value(*command, name);
            is_value = takes && equals == std::string::npos;
            if (takes && equals + 1 == word->size()) {
                result.push_back(name);
                result.emplace_back();
            } else {
                result.push_back(std::move(*word));
            }
        } else {
            is_value = word->starts_with('-') && short_options_wait(*command, *word);
            const auto commands = command->get_subcommands(
                [&name](const CLI::App* item) { return item->check_name(name); });
            if (!commands.empty()) command = commands.front();
            result.push_back(std::move(*word));
        }
    }
    return result;
}

}  // namespace

void parse_words(CLI::App& app, std::vector<std::string> words) {
    words = with_empty_values(app, std::move(words));
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(std::move(words));
}

}  // namespace twinlog
