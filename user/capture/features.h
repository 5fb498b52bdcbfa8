// What this kernel lets the capture programs do, found by trying and never by its version.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "capture/kernel_probe.h"

namespace twinlog {

struct Features {
    bool user_dynptr = false;  // copies from user memory straight into the ring (Linux 6.16)
    bool rdonly_cast = false;  // loads of kernel memory without a helper (Linux 6.2)
};

// What capture needs to know before it loads. Fails where capture can't work at all: no rights.
Result<Features> probe_features(const KernelProbe& kernel);

// One line of `twinlog doctor`.
struct Finding {
    enum class Verdict : unsigned char { good, limited, bad };
    Verdict verdict = Verdict::good;
    std::string subject;
    std::string detail;  // what was found and what follows from it
    std::string remedy;  // the way out; empty if good
};

// Everything that matters for capture on this host; never fails, a failure is a finding.
std::vector<Finding> examine_host();

}  // namespace twinlog
