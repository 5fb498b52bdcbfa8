// The bytes of one stream as the container wrote them, and nothing else.
#pragma once

#include "format/log_format.h"

namespace twinlog {

const LogFormat& raw_format();

}  // namespace twinlog
