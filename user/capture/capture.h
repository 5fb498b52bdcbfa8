// The capture programs: loads and attaches them, owns their maps, hands out what they record.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "capture/backend.h"
#include "capture/pins.h"
#include "capture/spill_file.h"
#include "record.h"
#include "stream/assembler.h"

namespace twinlog {

// Who receives what was captured. Called from Capture::drain only. Memory behind the arguments is
// valid during the call.
class CaptureSink {
 public:
    virtual ~CaptureSink() = default;
    // Comes before any data of its streams.
    virtual void on_start(const tw_start& start) = 0;
    // captured: the first record.captured bytes of the write, or of the read (TW_READ); the rest,
    // up to record.length, is a hole for record.reason.
    virtual void on_data(const tw_data& record, std::string_view captured) = 0;
    // Everything of both ends of the stream before these positions has been handed out by now or
    // never will be.
    virtual void on_settled(std::uint32_t slot, std::uint64_t stream, const StreamEnds& ends) = 0;
    // Bytes of the stream before these positions, as far as they were not handed out, were given up
    // because of may_skip().
    virtual void on_skipped(std::uint32_t slot, std::uint64_t stream, const StreamEnds& ends) = 0;
    // The run's first process exits. Others may still write: look() tells.
    virtual void on_end(const tw_end& end) = 0;
};

struct CaptureOptions {
    std::uint64_t ring_size = 64ULL << 20;  // bytes, a power of two
    bool new_containers = true;             // register containers that start later
    Backend backend = Backend::automatic;
    Pins pins;                     // where maps and programs outlive the daemon
    SpillPlace spill_memory = {};  // for what the ring has no room for, first,
    SpillPlace spill = {};         // and then; without a limit: neither is used
};

// How full the ring is, as its writers and its reader see it. To be asked from any thread, for as
// long as the Capture lives.
class RingFill {
 public:
    virtual ~RingFill() = default;
    // Bytes; a record takes up TW_RING_ROOM of its size.
    [[nodiscard]] virtual std::uint64_t size() const = 0;
    [[nodiscard]] virtual std::uint64_t free() const = 0;
    // What of it the stream holds; 0 if it has been given up.
    [[nodiscard]] virtual std::uint64_t held_by(const tw_file& file) const = 0;
};

// Who has the streams open, the runtime's processes included, and what is in them.
struct StreamsLook {
    std::uint64_t at = 0;  // CLOCK_BOOTTIME, ns
    // Not all open files could be looked at: what is not held may be held all the same.
    bool complete = true;
    std::unordered_map<std::uint32_t, tw_held> holders;  // by slot; none: nobody was found
    std::unordered_map<std::uint32_t, StreamEnds> ends;  // by slot; unread where nobody was at work

    // Whether anybody has this end of the stream open, or may have (enum tw_holder_flags).
    [[nodiscard]] bool held(const tw_file& file, std::uint32_t flag) const;
    // How the stream's ends stood.
    [[nodiscard]] StreamEnds ends_of(const tw_file& file) const;
};

// Not thread-safe. Phases: load, adopt what a former daemon had, attach, seed; then drain for as
// long as it lives. Its destruction detaches all programs that are not pinned.
class Capture {
 public:
    // Needs CAP_BPF and CAP_PERFMON, or root; the error says what is missing.
    static Result<std::unique_ptr<Capture>> load(const CaptureOptions& options);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    // Maps and programs are those of a daemon that ended without a word: its runs can be adopted.
    [[nodiscard]] bool taken_over() const;
    // Names the maps: positions and slots mean nothing with others.
    [[nodiscard]] std::uint64_t instance() const;
    // Whether the stream is still the kernel's; then its records are handed out.
    bool adopt(const tw_file& file);

    // From here on new containers are captured from their first byte.
    Status attach();
    // Ends the recording; what was recorded can still be drained.
    void detach();
    // Lets maps and programs end with this object, or outlive it. Until one of them is called, pins
    // that were found stay and new ones go with it. A crash leaves all.
    void unpin();
    void keep_pins();
    // Registers the containers that run already. May be called again.
    Status seed();
    // Registers fd 1 and 2 of one process, be it in a container or not.
    Status seed_pid(std::uint32_t pid);

    // Sleeps until there is something to drain, `other_fd` is readable, or the time is up.
    // Returns whether other_fd (-1: none) is readable.
    Result<bool> wait(int other_fd, std::chrono::milliseconds at_most);
    // Hands out what has been recorded, up to some MiB at once: commit() after each call. Works in
    // passes; true when one is complete: then all that was recorded before it began was handed out.
    bool drain(CaptureSink& sink);
    // Gives back the ring's room: what was handed out is now safe elsewhere.
    void commit();
    // Bytes of the ring that were handed out and not given back.
    [[nodiscard]] std::uint64_t uncommitted() const;
    [[nodiscard]] const RingFill& fill() const;

    // The same for what came out of the spill: run by run. Runs of which something was handed out,
    // and how many bytes.
    [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> uncommitted_runs() const;
    void commit(std::uint64_t run);
    // Records of the run wait in the spill; what is known of its streams is older than what the
    // kernel counts.
    [[nodiscard]] bool waits_in_spill(std::uint64_t run) const;
    // The same of any run: drain() has something to do at once.
    [[nodiscard]] bool spills() const;
    // Bytes of the spill that are in use.
    [[nodiscard]] std::uint64_t spilled() const;
    // Of the run's output only the newest `kept` bytes are of use: what waits and is older may be
    // skipped. 0: all is.
    void may_skip(std::uint64_t run, std::uint64_t kept);
    // Gives the spill's room back to the disk if nothing is in it.
    void tidy_spill();

    // How far the stream has come, by the kernel's counts.
    [[nodiscard]] StreamEnds ends(std::uint32_t slot) const;
    // The number that the next run will have: those that have smaller ones have begun.
    [[nodiscard]] std::uint64_t next_run() const;
    // Whose the stream in this slot is.
    [[nodiscard]] std::uint64_t run_of(std::uint32_t slot) const;
    // Makes it another run's, which goes on with it.
    void hand_on(const tw_file& file, std::uint64_t run);
    // Gives streams up; their slots are used again.
    void release(const tw_file& file);
    // Forgets a run, so that its place may have another one.
    void forget_run(const tw_start& start);
    // The run could not be recorded: the next seed() finds its container anew.
    void offer_again(const tw_start& start);
    // The same for all runs that nobody knows, and gives their streams up: a daemon that was killed
    // left them, or could not be followed.
    void abandon_unknown(const std::function<bool(std::uint64_t run)>& is_known);
    // Who has the streams open, and what is in them, as of one moment. Takes a second at most,
    // however many files are open.
    Result<StreamsLook> look();
    // Program runs that the kernel skipped; each may have cost bytes that nothing else tells of.
    [[nodiscard]] MissedRuns missed_runs() const;

 private:
    struct Impl;
    explicit Capture(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace twinlog
