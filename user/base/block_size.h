// In what pieces files are read.
#pragma once

#include <cstddef>

namespace twinlog {

// What suits the caller. Little under a fuzzer, whose small files are to have more than one piece.
constexpr std::size_t read_block_size(std::size_t usual) {
#ifdef TWINLOG_FUZZ
    return usual < 1024 ? usual : 1024;
#else
    return usual;
#endif
}

}  // namespace twinlog
