// The pipeline of the daemon: records of all containers in, entries in their logs out.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "capture/capture.h"
#include "container/registry.h"
#include "daemon/checkpoint.h"
#include "daemon/container_log.h"
#include "daemon/selection.h"
#include "daemon/store_trouble.h"
#include "daemon/stream_over.h"
#include "daemon/stream_recorder.h"
#include "daemon/throttle.h"
#include "store/log_writer.h"
#include "store/store.h"
#include "stream/entry_merger.h"

namespace twinlog {

// Not thread-safe. Keeps references to its arguments; without a throttle nobody is slowed.
class Recorder : public CaptureSink {
 public:
    Recorder(Capture& capture, Store& store, Registry& registry, Selection& selection,
             LogWriter::Options log_options, Throttle* throttle)
        : capture_(capture),
          store_(store),
          registry_(registry),
          selection_(selection),
          log_options_(std::move(log_options)),
          throttle_(throttle) {}

    void on_start(const tw_start& start) override;
    void on_data(const tw_data& record, std::string_view captured) override;
    void on_settled(std::uint32_t slot, std::uint64_t stream, const StreamEnds& ends) override;
    void on_skipped(std::uint32_t slot, std::uint64_t stream, const StreamEnds& ends) override;
    void on_end(const tw_end& end) override;

    // A pass over the rings is complete: what is held for its other end, or for the other stream,
    // goes on if its time has come. Returns whether anything still waits for time to pass.
    bool pass_time(std::uint64_t now);
    // Streams were written to long ago and nobody has read them.
    [[nodiscard]] bool anybody_stuck(std::uint64_t now) const;
    // What Capture::look found; all that was recorded until then has been drained.
    void look_at_stuck(const StreamsLook& look);
    // Writes what has come in to the files.
    void flush();
    // Saves the lines that have begun. After flush(), right before Capture::commit, and only if
    // nothing before them is held any more: where a crash leaves a checkpoint that is ahead of the
    // log, what stands between is lost.
    void save_checkpoints();
    // Makes sure of all of the run that was handed in: then it can be committed, which is false
    // while something is held. let_go: what is held is handed on.
    bool secure(std::uint64_t run, bool let_go);
    // Records were handed in whose bytes are neither in a file nor in a pipe: not to be committed.
    [[nodiscard]] bool holds_last_copy() const;
    // Hands on what is held, although something better may come.
    void let_go();
    // Starts the thread that compresses and removes, if the options have one.
    void start_housekeeping();
    // Logs are written so from now on, those that are open too.
    void set_log_options(LogWriter::Options options);
    // Saves container.json where counters changed.
    void save_changes();
    // Reads names and labels again, which the runtime may have changed, and saves what changed:
    // each time for some of the runs, in turn, and of containers that have ended. Where there are a
    // thousand it is a quarter of a minute until `stats` has what a checkpoint has at once.
    void keep_files();

    // Runs whose first process is gone, and whose streams nobody can write to any more or for too
    // long. Whatever they wrote is in the rings by now: drain a whole pass, then finish() them.
    // Only a look that began after the one of the last call was done, and some time after it, says
    // more than that one: see StreamOver.
    [[nodiscard]] std::vector<std::uint64_t> ended_runs(const StreamsLook& look);
    // Runs whose END found no room in the ring count as ended from here on.
    void look_for_lost_ends();
    // Completes runs: last unterminated lines, last gaps, state.
    void finish(const std::vector<std::uint64_t>& runs, const StreamsLook& look);
    // The daemon stops: unterminated lines go into the log, the containers go on without us.
    void finish_all(const StreamsLook& look);
    // Takes up the runs of a daemon that ended without finishing them. Before anything is drained.
    void restore();
    // Gives back to the kernel what no run here stands for, so that Capture::seed finds it anew.
    // before: of the runs that began earlier; later ones may not have been told yet.
    void abandon_unknown(std::uint64_t before);
    // Whether that process has a run already.
    [[nodiscard]] bool records(std::uint32_t pid) const;
    // A container could not be recorded: Capture::seed will offer it again. Asking takes it back.
    [[nodiscard]] bool wants_seed() { return std::exchange(wants_seed_, false); }
    // Tries again to open logs that could not be, and to write the gaps that ended containers' logs
    // still lack.
    void pay_debts();

    // Containers in the store that a former daemon left as running, and that do not run: they ended
    // while nobody looked.
    void settle_former();

    [[nodiscard]] std::size_t running() const { return runs_.size(); }
    [[nodiscard]] bool anybody_ending() const { return ending_ > 0; }

 private:
    struct Run {
        tw_start start{};
        std::uint32_t number = 0;  // which start of the container; the log's own is the newest's
        std::shared_ptr<ContainerLog> log;
        std::optional<Checkpoint> checkpoint;  // none: could not be written
        std::unique_ptr<EntryMerger> merger;
        std::array<std::unique_ptr<StreamRecorder>, 2> streams;  // by Source; none: no such stream
        std::array<StreamOver, 2> over;  // by Source: by what ended_runs() was told
        std::uint64_t ended_at = 0;      // CLOCK_BOOTTIME ns; 0: running
        bool active = false;             // is in active_
    };
    struct Slot {
        StreamRecorder* stream = nullptr;  // none: nobody records it
        Run* run = nullptr;                // that has it
    };

    enum class Copy : std::uint8_t { any, whole };
    bool peek_at(StreamRecorder& stream, const StreamEnds& ends, const StreamsLook& look,
                 Copy wanted) const;
    std::shared_ptr<ContainerLog> open_log(ContainerInfo info, const tw_start& start);
    Result<std::unique_ptr<LogWriter>> open_writer(const ContainerInfo& info);
    // None: it could not be opened, which is told.
    std::unique_ptr<LogWriter> try_writer(const ContainerInfo& info);
    void open_late(const std::shared_ptr<ContainerLog>& log);
    void make_checkpoint(Run& run);
    void add_stream(Run& run, Source source);
    void watch(const Run& run);
    void tell_shared_prefix(const ContainerInfo& info);
    std::shared_ptr<ContainerLog> restore_log(ContainerInfo info, std::uint32_t run);
    void restore(ContainerInfo info, Checkpoint checkpoint);
    [[nodiscard]] bool lacks_streams(const tw_start& start) const;
    void reject(const tw_start& start);
    void release_rejected();
    void touch(Run& run);
    const std::vector<Run*>& active_runs();
    void save(ContainerLog& log);
    void save_owed();
    void refresh_ended();
    [[nodiscard]] bool is_open(const std::string& id) const;
    [[nodiscard]] bool may_refresh(const std::string& id) const;
    void flush(ContainerLog& log);
    static bool holds_last_copy(const Run& run);
    static void let_go(Run& run);
    bool save_checkpoint(Run& run);
    void tell(const ContainerInfo& info, const Error& error);
    static bool is_at_rest(const Run& run);
    // What is known of its streams is older than what the kernel counts.
    [[nodiscard]] bool is_behind(std::uint64_t run) const {
        return capture_.spills() && capture_.waits_in_spill(run);
    }
    void hand_on_streams(std::uint64_t key, Run& run, const StreamsLook& look);
    void finish_run(std::uint64_t key, Run& run, const StreamsLook& look);
    void close_run(Run& run);
    static bool is_worthless(const Run& run);
    void remove(const std::string& id);

    Capture& capture_;
    Store& store_;
    Registry& registry_;
    Selection& selection_;
    LogWriter::Options log_options_;
    Throttle* throttle_;
    std::map<std::uint64_t, Run> runs_;  // by tw_start::run
    // Of these, whatever is not known to be in its file, its checkpoint included: a pass is for
    // them only, as of thousands of containers few write at a time.
    std::vector<Run*> active_;
    std::uint64_t kept_last_ = 0;          // that keep_files() has done
    std::vector<std::string> ended_left_;  // ids that refresh_ended() has to look at
    std::uint64_t next_ended_ = 0;         // CLOCK_BOOTTIME ns: when it finds new ones
    std::map<std::string, std::weak_ptr<ContainerLog>> logs_;  // by container id
    std::map<std::string, ContainerInfo> unsaved_;   // by id: container.json could not be written
    std::map<std::uint64_t, tw_start> unwanted_;     // runs that nobody asked for, until they end
    std::vector<tw_file> rejected_;                  // of such runs, to be given back
    std::set<std::shared_ptr<ContainerLog>> owing_;  // ended, with gaps that are not written yet
    bool wants_seed_ = false;
    SharedPrefixes shared_prefixes_;
    StoreTrouble trouble_;
    std::array<Slot, TW_STREAMS> by_slot_{};
    std::size_t ending_ = 0;
};

}  // namespace twinlog
