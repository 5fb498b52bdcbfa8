// twinlog doctor: what this kernel and host allow, each with the way out.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "base/escape.h"
#include "capture/features.h"
#include "cli/command.h"
#include "cli/container_list.h"

namespace twinlog {

namespace {

const char* verdict_name(Finding::Verdict verdict) {
    switch (verdict) {
        case Finding::Verdict::good:
            return "ok     ";
        case Finding::Verdict::limited:
            return "limited";
        case Finding::Verdict::bad:
            return "FAILED ";
    }
    return "";
}

int examine() {
    const std::vector<Finding> findings = examine_host();
    std::string text;
    for (const Finding& finding : findings) {
        text += std::string(verdict_name(finding.verdict)) + "  " + finding.subject + ": " +
                escape_for_terminal(finding.detail) + "\n";
        if (!finding.remedy.empty()) text += "         way out: " + finding.remedy + "\n";
    }
    const bool works = std::none_of(findings.begin(), findings.end(), [](const Finding& finding) {
        return finding.verdict == Finding::Verdict::bad;
    });
    text += works ? "Capture works here.\n" : "Capture can't work here.\n";
    if (print_text(text) != exit_ok) return exit_failure;
    return works ? exit_ok : exit_failure;
}

}  // namespace

void register_doctor(CLI::App& app, Action& chosen) {
    CLI::App* command = app.add_subcommand("doctor", "Says what this kernel and host allow");
    command->callback([&chosen] { chosen = examine; });
}

}  // namespace twinlog
