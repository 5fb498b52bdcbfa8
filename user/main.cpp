// The program: its subcommands are registered here, nothing else.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string_view>

#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/diagnostics.h"
#include "cli/usage_error.h"
#include "container/file_agent.h"

namespace {

// Else a file that is opened takes the place of one that is closed, and gets what is said. Using
// these fails, as it would without them.
void hold_standard_descriptors() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) != -1) continue;
        // The lowest that is free, which is this one.
        [[maybe_unused]] const int held =
            ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

}  // namespace

// What could be thrown here is a mistake in how options are declared: to end at once is right.
// NOLINTNEXTLINE(bugprone-exception-escape)
int main(int argc, char** argv) {
    if (argc == 1 && argv[0] == twinlog::file_agent_name) return twinlog::serve_files();
    hold_standard_descriptors();
    CLI::App app{"Keeps containers' stdout and stderr within reach, whatever their log driver",
                 "twinlog"};
    app.set_version_flag("--version", "twinlog " TWINLOG_VERSION);
    app.require_subcommand(0, 1);
    twinlog::add_diagnostics_options(app);

    twinlog::Action chosen;
    twinlog::register_run(app, chosen, {argv + 1, argv + argc});
    twinlog::register_stop(app, chosen);
    twinlog::register_trace(app, chosen);
    twinlog::register_logs(app, chosen);
    twinlog::register_ps(app, chosen);
    twinlog::register_stats(app, chosen);
    twinlog::register_doctor(app, chosen);
    twinlog::register_verify(app, chosen);
    twinlog::register_convert(app, chosen);
    twinlog::register_describe(app, chosen);
    twinlog::register_help(app, chosen);

    try {
        twinlog::parse_words(app, {argv + 1, argv + argc});
    } catch (const CLI::ParseError& error) {
        return twinlog::end_parsing(app, error);
    }
    if (!chosen) {
        if (app["--log-format"]->as<std::string>() == "text") std::cerr << app.help();
        twinlog::report({{}, "no command is given", 0, "twinlog --help lists them"});
        return twinlog::exit_usage;
    }
    return chosen();
}
