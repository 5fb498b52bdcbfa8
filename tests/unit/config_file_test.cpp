// Files with the options of a subcommand.
#include "cli/config_file.h"

#include <CLI/CLI.hpp>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "temp_directory.h"

using namespace twinlog;

namespace {

struct Command {
    std::string size = "none";
    std::vector<std::string> names;
    bool compress = false;

    // What is wrong with the file; empty: nothing.
    std::string read(const std::string& path, UnknownNames unknown = UnknownNames::refused) {
        CLI::App app;
        CLI::App* const run = app.add_subcommand("run");
        run->add_option("--max-size", size);
        run->add_option("--container", names);
        run->add_flag("--compress,!--no-compress", compress);
        add_config_option(*run, unknown);
        try {
            parse_words(app, {"run", "--config", path});
            return {};
        } catch (const CLI::ParseError& error) {
            return error.what();
        }
    }
};

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("config file: one option a line", "[config_file]") {
    const TempDirectory directory;
    const std::string path = directory / "conf";
    put_file(path,
             "# a comment\n;\n#\n\n  max-size = \"1m\" # why\ncompress\n"
             "container = [\"a\",\n  \"b\",\n\"c\"]\n");
    Command command;
    CHECK(command.read(path).empty());
    CHECK(command.size == "1m");
    CHECK(command.names == std::vector<std::string>{"a", "b", "c"});
    CHECK(command.compress);
}

TEST_CASE("config file: what cannot be read is no empty file", "[config_file]") {
    const TempDirectory directory;
    CHECK(has(Command{}.read(directory.path()), directory.path() + ": reading it: Is a directory"));
    CHECK(has(Command{}.read(directory / "none"), "No such file or directory"));
    put_file(directory / "empty", "");
    CHECK(Command{}.read(directory / "empty").empty());
}

TEST_CASE("config file: a mistake is named with its line", "[config_file]") {
    const TempDirectory directory;
    const std::string path = directory / "conf";
    const auto said = [&](const std::string& text) {
        put_file(path, text);
        return Command{}.read(path);
    };
    CHECK(has(said("\nmax-size\n"), "line 2, max-size: it lacks = and a value"));
    CHECK(has(said("max-size # 1m\n"), "it lacks = and a value"));
    CHECK(has(said("max-size = 1m\n[run]\n"), "line 2, [run]: there are no sections"));
    CHECK(has(said("[default]\nmax-size = 1m\n"), "line 1, [default]: there are no sections"));
    CHECK(has(said("a=\n"), "line 1, a=: this is no option"));
    CHECK(has(said("ab\n"), "line 1, ab: this is no option"));
    CHECK(has(said("no-such\n"), "no-such"));
    CHECK(has(said("max-size = 1m\n\x1b[m = 1\n"), "x1b"));
}

TEST_CASE("config file: names of another command are passed over", "[config_file]") {
    const TempDirectory directory;
    put_file(directory / "conf", "other = 1\nmax-size = 1m\n");
    Command command;
    CHECK(command.read(directory / "conf", UnknownNames::ignored).empty());
    CHECK(command.size == "1m");
    CHECK_FALSE(command.read(directory / "conf").empty());
}
