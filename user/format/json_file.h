// Docker's `json-file` format, byte for byte as dockerd writes it: one JSON object a line, escaped
// as Go does it (moby daemon/logger/jsonfilelog/jsonlog/jsonlogbytes.go). What is no UTF-8 becomes
// U+FFFD there, so it is not exact for such output.
#pragma once

#include "format/log_format.h"

namespace twinlog {

const LogFormat& json_file_format();

}  // namespace twinlog
