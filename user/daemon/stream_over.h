// Whether a stream is over: nobody is left who could write to it, and who reads has taken all.
#pragma once

#include "capture/capture.h"
#include "stream/assembler.h"

namespace twinlog {

// A look walks all open files of the host, which takes its time: a holder that passes the file to a
// process that the walk has been at, and ends before the walk is at itself, is seen in neither. So
// it takes two looks that agree, the second of which began when the first was done. Where the
// kernel told the reader that no more comes, one is enough.
class StreamOver {
 public:
    // Call it with one look after the other, at some distance of time: what rests between two of
    // them is taken to be at its end.
    [[nodiscard]] bool after(const tw_file& file, const StreamsLook& look);

 private:
    StreamEnds before_;  // how the ends stood at the last look
    bool seemed_ = false;
};

}  // namespace twinlog
