// What the program must be allowed to do beyond what any root-owned process may: Linux capabilities
// (capabilities(7)), each with its reason, and how the daemon gives up those that it needed to
// load.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace twinlog {

struct Privilege {
    int capability;      // number of capabilities(7)
    const char* name;    // CAP_…
    const char* reason;  // what it is needed for, as the end of a sentence
    bool to_load_only;   // not needed any more once programs are loaded and attached
};

// All that capture needs on every kernel. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in
// the kernel.
const std::vector<Privilege>& needed_privileges();

// Those that this thread does not have in effect. search_modules: the kernel lacks a function that
// the programs can do without; see privileges.cpp.
std::vector<Privilege> missing_privileges(bool search_modules);

// Fails if there are such; the error names all of them.
Status check_privileges(bool search_modules);

// Gives up all capabilities but those that are needed for as long as the daemon runs, for good: no
// program that is executed later gets them back. Other processes of root can't look into this one
// any more, and it leaves no core: its memory holds containers' output. Capabilities belong to
// threads: call it before others are started.
Status drop_privileges();

// All capabilities of the calling thread, for good: what root owns it may still open and write. For
// threads and child processes that are started before drop_privileges().
Status drop_all_privileges();

}  // namespace twinlog
