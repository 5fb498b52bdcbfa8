// The daemon's life: load, attach, seed, record until told to stop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "capture/capture.h"
#include "daemon/selection.h"
#include "store/log_writer.h"

namespace twinlog {

// What becomes of the capture when the daemon is told to end.
enum class OnStop : std::uint8_t {
    detach,  // it ends too
    keep,    // it goes on filling the ring, for the next daemon
};

// What becomes of a container that writes faster, for longer, than its log can be written.
enum class Overload : std::uint8_t {
    gap,       // what does not fit into its part of the ring is a gap of its log
    throttle,  // it is slowed down
};

struct DaemonOptions {
    std::string store;
    Selection selection;
    CaptureOptions capture;
    LogWriter::Options log;
    OnStop on_stop = OnStop::detach;
    Overload overload = Overload::gap;
    // What SIGHUP asks for: the options as they are now. Only log and on_stop can change. None: the
    // options stay as they are.
    std::function<Result<DaemonOptions>()> read_again;
};

// Runs in the calling thread until SIGTERM or SIGINT. Says `ready: capturing N containers` on
// stderr and READY=1 to the service manager once every running container is attached. Gives up what
// privileges it does not need any more, for the whole process.
Status run_daemon(const DaemonOptions& options);

// Ends what a daemon left in the kernel, for good: what was recorded meanwhile is written to the
// logs, and they are completed. Nothing to do is no error.
Status finish_former_daemon(const DaemonOptions& options);

}  // namespace twinlog
