// Small files that have to be replaced on a full disk, too: who counts what a full disk has cost
// must be able to say it.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace twinlog {

// As write_file_atomically(). Once that has worked, path + ".spare" is kept beside the file, with
// room for the next contents: where they cannot be written in the usual way they go there, and the
// two files are exchanged. A program that is killed leaves one whole file at path wherever it is.
// What such an exchange leaves after a power cut is not sure, as nobody waits for the disk.
Status write_file_with_spare(const std::string& path, std::string_view contents, mode_t mode);

// For a file that will not be written any more.
void remove_spare(const std::string& path);

}  // namespace twinlog
