// Which files a container's log consists of, while a writer may rotate them.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "read/log_file.h"

namespace twinlog {

struct NewerFiles {
    std::deque<LogFile> files;  // oldest first
    // The file that they are newer than is no longer there: others after it may be gone, too.
    bool after_is_gone = false;
    // Names of a log's file that something else bears.
    std::vector<std::string> irregular;
};

// Opens the log files of a directory that are newer than `after`, which may have been compressed
// since it was opened; all for nullptr. The newest of
// the result may already have a successor, which the next call finds; in between none is left out.
Result<NewerFiles> open_newer_files(int directory, const std::string& directory_path,
                                    LogFile* after);

}  // namespace twinlog
