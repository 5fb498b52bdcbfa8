// An object a line for each line of a log.
#pragma once

#include <string>

#include "cli/line_output.h"

namespace twinlog {

// Without newline. What is no UTF-8 becomes U+FFFD, as in Docker's json-file.
void append_json_line(const PrintedLog& log, const Line& line, std::string& out);
void append_json_damage(const PrintedLog& log, const Damage& damage, std::string& out);

}  // namespace twinlog
