// Where the spill's files are, and how much of that they may take.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "capture/pins.h"
#include "capture/spill_file.h"

namespace twinlog {

// A file of the store. limit: bytes; what its disk should keep free for others is left out of it.
Result<SpillPlace> spill_on_disk(const std::string& path, std::uint64_t limit);

// A file in the directory that root has in memory: RuntimeDirectory= of systemd, or /run/twinlog.
// Nowhere if that is no memory here, and without pins, whose name it has: it is of no use to who
// comes after a process that took its programs with it. Of a small host's memory less than the
// limit.
SpillPlace spill_in_memory(const Pins& pins, std::uint64_t limit);

// Where that would be, without limits but the memory's own; makes nothing. Fails with what keeps
// bursts out of memory here.
Result<SpillPlace> memory_for_spills();

// Removes what is left of that one when its capture is over.
Status remove_spill_in_memory(const Pins& pins);

// So many bytes should be left free of a disk that has so many.
std::uint64_t left_free_of(std::uint64_t size);

}  // namespace twinlog
