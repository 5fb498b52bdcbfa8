// What is in a pipe, without taking it out: for pipes whose reader is stuck or gone.
#pragma once

#include <string>

#include "capture/capture.h"
#include "record.h"

namespace twinlog {

// A copy of the bytes that wait in the stream's pipe, oldest first; empty where it is none, or
// nobody who has it open is there any more.
std::string peek_into(const tw_file& file, const StreamsLook& look);

}  // namespace twinlog
