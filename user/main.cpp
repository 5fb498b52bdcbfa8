// The program: its subcommands are registered here, nothing else.
#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/command.h"
#include "cli/diagnostics.h"

int main(int argc, char** argv) {
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

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? twinlog::exit_ok : twinlog::exit_usage;
    }
    if (!chosen) {
        std::cerr << app.help() << "twinlog: a subcommand is required\n";
        return twinlog::exit_usage;
    }
    return chosen();
}
