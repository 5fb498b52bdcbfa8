#include "daemon/recorder.h"

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "base/escape.h"
#include "capture/peek.h"
#include "daemon/log_ahead.h"
#include "daemon/start.h"
#include "read/container_catalog.h"
#include "store/layout.h"

namespace twinlog {

namespace {

// Two daemons tell the time of one start by so much otherwise at most; two starts of a container
// are farther apart.
constexpr std::int64_t same_start_ns = 10'000'000;

// Of so many runs keep_files() looks after the files at a time: some 20 ms on a disk that discards.
constexpr std::size_t kept_at_once = 64;

// A stopped container is renamed seldom, and there may be thousands of them.
constexpr std::size_t ended_at_once = 16;
constexpr std::uint64_t between_ended_ns = 60'000'000'000;
// One that its runtime does not find is looked for in all of /proc.
constexpr std::uint64_t longest_for_ended_ns = 2'000'000;

// Where there are very many logs, what is done for each may take longer than systemd waits.
void tell_still_at_work() {
    ::sd_notify(0, "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000");
}

SavedRun saved_run(const Checkpoint& checkpoint) {
    SavedRun saved{.run = checkpoint.head().run,
                   .since_ns = wall_time(checkpoint.head().start.time),
                   .streams = {}};
    for (const Source source : {Source::stdout_, Source::stderr_}) {
        const std::uint64_t done = checkpoint.progress(source).done;
        saved.streams[static_cast<std::size_t>(source)] = {
            done, done - std::min<std::uint64_t>(done, checkpoint.begun(source).line.size())};
    }
    return saved;
}

std::string describe(const ContainerInfo& info) {
    return escape_for_terminal(info.name) + " (" + info.id.substr(0, 12) + ")";
}

}  // namespace

Result<std::unique_ptr<LogWriter>> Recorder::open_writer(const ContainerInfo& info) {
    auto directory = store_.make_container(info.id);
    if (!directory) return pass_on(std::move(directory));
    auto writer =
        LogWriter::open(real_file_system(), *directory, log_options_,
                        {info.id, info.name, info.runtime, info.labels, info.log_attributes});
    if (!writer) return pass_on(std::move(writer));
    for (const std::string& note : (*writer)->notes()) {
        spdlog::warn("{}: {}", describe(info), note);
    }
    return writer;
}

std::unique_ptr<LogWriter> Recorder::try_writer(const ContainerInfo& info) {
    auto writer = open_writer(info);
    if (writer) return std::move(*writer);
    tell(info, writer.error());
    return nullptr;
}

std::shared_ptr<ContainerLog> Recorder::open_log(ContainerInfo info, const tw_start& start) {
    if (auto open = logs_[info.id].lock()) {
        // The next run of a container whose last one is not finished yet.
        ContainerInfo& known = open->info();
        info.streams = known.streams;
        info.set_back_ns = known.set_back_ns;
        info.run = known.run + 1;
        known = std::move(info);
        return open;
    }
    auto writer = try_writer(info);
    info.run = (writer ? writer->recovery().last_run : 0) + 1;
    if (auto known = store_.load(info.id)) {
        info.streams = known->streams;
        info.set_back_ns = known->set_back_ns;
        // Counted by a daemon that was killed before it had its checkpoint: none of it is in the
        // log.
        const bool counted =
            known->state == ContainerState::running &&
            std::abs(known->captured_since_ns - wall_time(start.time)) < same_start_ns;
        info.run = std::max(info.run, counted ? known->run : known->run + 1);
    }
    auto log = std::make_shared<ContainerLog>(std::move(info), std::move(writer));
    logs_[log->info().id] = log;
    return log;
}

void Recorder::open_late(const std::shared_ptr<ContainerLog>& log) {
    // Why it cannot be was told already.
    auto writer = open_writer(log->info());
    if (!writer) return;
    log->set_writer(std::move(*writer));
    spdlog::info("{}: its log is open now", describe(log->info()));
    flush(*log);
    save(*log);
    for (auto& [key, run] : runs_) {
        if (run.log != log) continue;
        capture_.may_skip(key, log->retained_bytes());
        // What it is to say is saved with the next commit.
        if (!run.checkpoint) make_checkpoint(run);
        touch(run);
    }
}

void Recorder::make_checkpoint(Run& run) {
    const ContainerInfo& info = run.log->info();
    auto checkpoint =
        Checkpoint::create(layout::container_directory(store_.path(), info.id),
                           {capture_.instance(), run.number, run.start}, info.streams);
    if (checkpoint) {
        run.checkpoint = std::move(*checkpoint);
    } else if (run.log->is_open()) {
        tell(info, checkpoint.error());
    }
}

// What a file of the store refused.
void Recorder::tell(const ContainerInfo& info, const Error& error) {
    if (const auto line = trouble_.failed(describe(info), error, boot_time_now())) {
        spdlog::error("{}", *line);
    } else {
        spdlog::debug("{}: {}", describe(info), error.message());
    }
}

void Recorder::reject(const tw_start& start) {
    rejected_.insert(rejected_.end(), std::begin(start.files), std::end(start.files));
}

// Not before all that was told is heard: a run that comes next may have the same file.
void Recorder::release_rejected() {
    for (const tw_file& file : std::exchange(rejected_, {})) {
        const bool in_use = file.slot != TW_NO_SLOT && by_slot_[file.slot].stream != nullptr;
        if (!in_use) capture_.release(file);
    }
}

// It writes to something, and the kernel has no stream for any of it, as there was none free, or
// one that it had was given up just now, with the run that had it first. Who was asked for by pid
// is not offered again.
bool Recorder::lacks_streams(const tw_start& start) const {
    if ((start.flags & TW_START_BY_PID) != 0) return false;
    bool wanted = false;
    bool has_one = false;
    for (const tw_file& file : start.files) {
        if (file.kind == TW_KIND_NONE || file.kind == TW_KIND_NULL) continue;
        if (file.slot != TW_NO_SLOT && !capture_.adopt(file)) return true;
        wanted = true;
        has_one = has_one || file.slot != TW_NO_SLOT;
    }
    return wanted && !has_one;
}

void Recorder::on_start(const tw_start& start) {
    // Told to a daemon that was killed before it could say so.
    if (runs_.contains(start.run)) return;
    auto described = registry_.describe(
        start_facts(start), [this](const std::string& id) -> std::optional<ContainerInfo> {
            auto stored = store_.load(id);
            if (!stored) return std::nullopt;
            return std::move(*stored);
        });
    if (!described) {
        reject(start);
        capture_.forget_run(start);
        return;
    }
    ContainerInfo info = std::move(*described);
    if (!selection_.wants(start, info)) {
        reject(start);
        unwanted_.emplace(start.run, start);
        return;
    }
    const std::string title = describe(info);
    if (lacks_streams(start)) {
        spdlog::error("{}: not captured yet: all {} streams are in use", title,
                      static_cast<int>(TW_STREAMS));
        reject(start);
        capture_.offer_again(start);
        wants_seed_ = true;
        return;
    }
    Run& run = runs_[start.run];
    run.start = start;
    touch(run);
    run.log = open_log(std::move(info), start);
    run.merger = std::make_unique<EntryMerger>(*run.log);
    ContainerInfo& known = run.log->info();
    run.number = known.run;
    tell_shared_prefix(known);
    known.state = ContainerState::running;
    known.captured_since_ns = wall_time(start.time);
    known.from_start = (start.flags & TW_START_AT_EXEC) != 0;
    for (const Source source : {Source::stdout_, Source::stderr_}) add_stream(run, source);
    capture_.may_skip(start.run, run.log->retained_bytes());
    watch(run);
    save(*run.log);
    make_checkpoint(run);
    spdlog::info("{}: captured {}", title,
                 known.from_start ? "from its first byte" : "from now on, it ran already");
}

void Recorder::add_stream(Run& run, Source source) {
    ContainerInfo& known = run.log->info();
    const auto index = static_cast<std::size_t>(source);
    const tw_file& file = run.start.files[index];
    StreamCounters& counters = known.streams[index];
    const bool same_as_stdout =
        index == 1 && file.slot != TW_NO_SLOT && file.slot == run.start.files[0].slot;
    counters.kind = same_as_stdout ? "" : file_kind_name(file.kind);
    if (same_as_stdout || file.kind == TW_KIND_NONE || file.kind == TW_KIND_NULL) return;
    if (file.slot == TW_NO_SLOT) {
        spdlog::error("{}: {} is not captured: all {} streams are in use", describe(known),
                      source_name(source), static_cast<int>(TW_STREAMS));
        return;
    }
    if (!capture_.adopt(file)) {
        spdlog::error("{}: {} is not captured: the kernel knows it no more", describe(known),
                      source_name(source));
        return;
    }
    if (by_slot_[file.slot].stream != nullptr) {
        spdlog::warn(
            "{}: {} is a file that another container writes to as well; it is in that "
            "container's log only",
            describe(known), source_name(source));
        return;
    }
    const bool from_start = (run.start.flags & TW_START_AT_EXEC) != 0;
    run.streams[index] = std::make_unique<StreamRecorder>(file, from_start, source, run.number,
                                                          run.merger->input(source), counters);
    run.merger->watch(source, run.streams[index]->assembler());
    by_slot_[file.slot] = {run.streams[index].get(), &run};
}

void Recorder::watch(const Run& run) {
    // Of a container that has ended no group is left.
    if (throttle_ == nullptr || !registry_.exists(run.start.pid, run.start.start_time)) return;
    const ContainerInfo& info = run.log->info();
    if (auto watched = throttle_->watch(run.start, info); !watched) {
        spdlog::warn("{}: will not be slowed down: {}", describe(info), watched.error().message());
    }
}

void Recorder::tell_shared_prefix(const ContainerInfo& info) {
    if (const auto prefix = shared_prefixes_.second_of(selection_, info)) {
        spdlog::warn("{}: --container {} is the beginning of its id as well: it takes all of these",
                     describe(info), escape_for_terminal(*prefix));
    }
}

void Recorder::on_data(const tw_data& record, std::string_view captured) {
    const auto& [recorder, run] = by_slot_[record.slot];
    if (recorder == nullptr || recorder->file().stream != record.stream) return;
    touch(*run);
    recorder->record(record, captured);
}

void Recorder::on_settled(std::uint32_t slot, std::uint64_t stream, const StreamEnds& ends) {
    const auto& [recorder, run] = by_slot_[slot];
    if (recorder == nullptr || recorder->file().stream != stream) return;
    touch(*run);
    recorder->settle(ends);
}

void Recorder::on_skipped(std::uint32_t slot, std::uint64_t stream, const StreamEnds& ends) {
    const auto& [recorder, run] = by_slot_[slot];
    if (recorder == nullptr || recorder->file().stream != stream) return;
    touch(*run);
    recorder->skip(ends);
}

void Recorder::touch(Run& run) {
    if (!std::exchange(run.active, true)) active_.push_back(&run);
}

// Older ones first: two of a container have one log.
const std::vector<Recorder::Run*>& Recorder::active_runs() {
    std::sort(active_.begin(), active_.end(),
              [](const Run* a, const Run* b) { return a->start.run < b->start.run; });
    return active_;
}

bool Recorder::pass_time(std::uint64_t now) {
    release_rejected();
    bool waits = false;
    for (Run* run : active_runs()) {
        // For it time has not come so far.
        if (is_behind(run->start.run)) continue;
        for (const auto& stream : run->streams) {
            if (stream == nullptr || !stream->assembler().waits()) continue;
            stream->assembler().tick(now);
            waits = true;
        }
        if (!run->merger->waits()) continue;
        run->merger->release(now);
        waits = true;
    }
    return waits;
}

bool Recorder::anybody_stuck(std::uint64_t now) const {
    return std::any_of(active_.begin(), active_.end(), [this, now](const Run* run) {
        const bool stuck = std::any_of(
            run->streams.begin(), run->streams.end(),
            [now](const auto& s) { return s != nullptr && s->assembler().is_stuck(now); });
        return stuck && !is_behind(run->start.run);
    });
}

// Copies the bytes of its pipe that the stream misses, to be confirmed at the next look. False: it
// misses none, or there is no such copy.
bool Recorder::peek_at(StreamRecorder& stream, const StreamEnds& ends, const StreamsLook& look,
                       Copy wanted) const {
    if (!stream.wants_peek(ends)) return false;
    std::string bytes = peek_into(stream.file(), look);
    // While somebody is at work there, nobody knows which bytes these are.
    if (capture_.ends(stream.file().slot).read != ends.read) bytes.clear();
    // Who has many pipes gets small ones only, into which no whole copy goes: pipe(7).
    if (wanted == Copy::whole && bytes.size() < *ends.unread) return false;
    const bool some = !bytes.empty();
    stream.peeked(ends, std::move(bytes), look.at);
    return some;
}

void Recorder::look_at_stuck(const StreamsLook& look) {
    for (Run* run : active_runs()) {
        if (is_behind(run->start.run)) continue;
        for (const auto& stream : run->streams) {
            if (stream == nullptr || !stream->assembler().is_stuck(look.at)) continue;
            const StreamEnds ends = look.ends_of(stream->file());
            stream->confirm_peek(ends);
            // The pipe has them in the order that counts. What the writes say has to do where bytes
            // were taken out unseen, or a writer is in the middle of its write: nobody knows then
            // which bytes lie in it.
            const bool all_there = ends.unread && ends.written == ends.read + *ends.unread;
            if (all_there && peek_at(*stream, ends, look, Copy::whole)) continue;
            stream->assembler().look(ends, look.at);
            peek_at(*stream, ends, look, Copy::any);
        }
    }
}

void Recorder::on_end(const tw_end& end) {
    if (const auto unwanted = unwanted_.find(end.run); unwanted != unwanted_.end()) {
        capture_.forget_run(unwanted->second);
        unwanted_.erase(unwanted);
        return;
    }
    const auto run = runs_.find(end.run);
    if (run == runs_.end() || run->second.ended_at != 0) return;
    run->second.ended_at = end.time;
    ++ending_;
}

void Recorder::look_for_lost_ends() {
    for (auto& [key, run] : runs_) {
        if (run.ended_at != 0 || registry_.exists(run.start.pid, run.start.start_time)) continue;
        run.ended_at = boot_time_now();
        ++ending_;
    }
}

std::vector<std::uint64_t> Recorder::ended_runs(const StreamsLook& look) {
    std::vector<std::uint64_t> ended;
    for (auto& [key, run] : runs_) {
        if (run.ended_at == 0 || is_behind(key)) continue;
        bool complete = true;
        for (std::size_t i = 0; i < run.streams.size(); ++i) {
            if (run.streams[i] == nullptr) continue;
            complete = run.over[i].after(run.streams[i]->file(), look) && complete;
        }
        if (complete || look.at > run.ended_at + linger_ns) ended.push_back(key);
    }
    return ended;
}

// A run has ended whose file another one writes to as well: from here on it is in that one's log.
// What is still on its way comes along.
void Recorder::hand_on_streams(std::uint64_t key, Run& run, const StreamsLook& look) {
    for (auto& stream : run.streams) {
        if (stream == nullptr || !look.held(stream->file(), TW_HOLDS_TO_WRITE)) continue;
        for (auto& [other, heir] : runs_) {
            if (other == key) continue;
            const auto& files = heir.start.files;
            const auto* const named = std::find_if(
                std::begin(files), std::end(files),
                [&](const tw_file& file) { return file.stream == stream->file().stream; });
            const auto index = static_cast<std::size_t>(named - std::begin(files));
            if (named == std::end(files) || heir.streams[index] != nullptr) continue;
            const auto source = static_cast<Source>(index);
            StreamCounters& counters = heir.log->info().streams[index];
            stream->move_to(source, heir.number, heir.merger->input(source), counters);
            // The line that has ended there is in no checkpoint that is looked at once the stream
            // is the other run's.
            run.merger->flush();
            flush(*run.log);
            heir.merger->watch(source, stream->assembler());
            spdlog::info("{}: {} has ended: {} is in this log from here on",
                         describe(heir.log->info()), describe(run.log->info()),
                         source_name(source));
            // First: a daemon that is killed in between finds it to be the old run's.
            if (heir.checkpoint) {
                auto saved = heir.checkpoint->save(std::array{Checkpoint::Stream{
                    source, stream->assembler().next(), counters, stream->splitter()}});
                if (!saved) spdlog::error("{}", saved.error().message());
            }
            capture_.hand_on(stream->file(), other);
            by_slot_[stream->file().slot].run = &heir;
            heir.streams[index] = std::move(stream);
            touch(heir);
            break;
        }
    }
}

// Ends the streams, up to the last entry. What the kernel holds of them goes last of all, by
// forget(): until then a daemon that is killed leaves a run that the next one finishes.
void Recorder::finish_run(std::uint64_t key, Run& run, const StreamsLook& look) {
    for (const auto& stream : run.streams) {
        if (stream == nullptr) continue;
        stream->end(look.ends_of(stream->file()));
    }
    run.merger->flush();
    ContainerInfo& info = run.log->info();
    if (run.ended_at != 0) {
        --ending_;
        // A later run of the same container may be on its way already.
        const bool another = std::any_of(runs_.begin(), runs_.end(), [&](const auto& other) {
            return other.first != key && other.second.log == run.log;
        });
        if (!another) {
            info.state = ContainerState::ended;
            info.ended_ns = wall_time(run.ended_at);
        }
        registry_.ended(info.id);
        spdlog::info("{}: ended", describe(info));
    }
}

// Entries first: a follower ends as soon as the state says so. The checkpoint only when the state
// is saved: a daemon that comes in between finishes the run again.
void Recorder::close_run(Run& run) {
    if (throttle_ != nullptr) throttle_->forget(run.start);
    const std::shared_ptr<ContainerLog>& log = run.log;
    flush(*log);
    if (log->dropped_bytes() > 0) owing_.insert(log);
    save(*log);
    if (run.checkpoint) {
        if (auto removed = run.checkpoint->remove(); !removed) {
            spdlog::error("{}", removed.error().message());
        }
    }
    for (const auto& stream : run.streams) {
        if (stream == nullptr) continue;
        by_slot_[stream->file().slot] = {};
        capture_.release(stream->file());
    }
    capture_.forget_run(run.start);
}

// Nobody asked for it, nobody can name it, it never comes again, and it has said nothing: who makes
// a namespace a millisecond must not fill the disk with directories.
bool Recorder::is_worthless(const Run& run) {
    const ContainerInfo& info = run.log->info();
    return run.ended_at != 0 && (run.start.flags & TW_START_BY_PID) == 0 &&
           is_of_one_start(info.id) &&
           std::all_of(info.streams.begin(), info.streams.end(),
                       [](const StreamCounters& stream) { return stream.bytes == 0; });
}

void Recorder::remove(const std::string& id) {
    unsaved_.erase(id);
    const std::string directory = layout::container_directory(store_.path(), id);
    std::error_code error;
    std::filesystem::remove_all(directory, error);
    if (error) spdlog::error("{}: removing it: {}", directory, error.message());
}

void Recorder::finish(const std::vector<std::uint64_t>& runs, const StreamsLook& look) {
    for (const std::uint64_t key : runs) {
        const auto run = runs_.find(key);
        // Some of it may have been moved to the spill since it was looked at.
        if (run == runs_.end() || is_behind(key)) continue;
        hand_on_streams(key, run->second, look);
        finish_run(key, run->second, look);
        close_run(run->second);
        const std::weak_ptr<ContainerLog> log = run->second.log;
        const std::string id = run->second.log->info().id;
        const bool forget = is_worthless(run->second);
        std::erase(active_, &run->second);
        runs_.erase(run);
        if (!log.expired()) continue;
        logs_.erase(id);
        if (forget) remove(id);
    }
}

void Recorder::flush(ContainerLog& log) {
    if (!log.has_pending()) return;
    if (log.clock_was_set_back()) save(log);
    if (auto flushed = log.flush(); !flushed) tell(log.info(), flushed.error());
}

void Recorder::restore() {
    auto catalog = read_catalog(store_.path());
    if (!catalog) {
        spdlog::error("{}", catalog.error().message());
        return;
    }
    // In the order in which they began, and of two with one stream the first has it.
    std::map<std::uint64_t, std::pair<ContainerInfo, Checkpoint>> former;
    for (const CatalogItem& item : catalog->containers) {
        if (item.info.state != ContainerState::running) continue;
        for (auto& checkpoint : Checkpoint::load_all(item.directory)) {
            if (!checkpoint) {
                spdlog::error("{}", checkpoint.error().message());
            } else if (checkpoint->head().instance == capture_.instance()) {
                const std::uint64_t run = checkpoint->head().start.run;
                former.try_emplace(run, item.info, std::move(*checkpoint));
            } else if (auto removed = checkpoint->remove(); !removed) {
                spdlog::error("{}", removed.error().message());
            }
        }
    }
    for (auto& [run, found] : former) {
        tell_still_at_work();
        restore(std::move(found.first), std::move(found.second));
    }
}

void Recorder::abandon_unknown(std::uint64_t before) {
    capture_.abandon_unknown([this, before](std::uint64_t run) {
        return run >= before || runs_.contains(run) || unwanted_.contains(run);
    });
}

bool Recorder::records(std::uint32_t pid) const {
    return std::any_of(runs_.begin(), runs_.end(), [&](const auto& item) {
        const tw_start& start = item.second.start;
        return start.pid == pid && registry_.exists(pid, start.start_time);
    });
}

// A container may have two: one that ends and, restarted already, its next.
std::shared_ptr<ContainerLog> Recorder::restore_log(ContainerInfo info, std::uint32_t run) {
    if (auto open = logs_[info.id].lock()) {
        open->info().run = std::max(open->info().run, run);
        return open;
    }
    info.run = run;
    auto writer = try_writer(info);
    auto log = std::make_shared<ContainerLog>(std::move(info), std::move(writer));
    logs_[log->info().id] = log;
    return log;
}

void Recorder::restore(ContainerInfo info, Checkpoint checkpoint) {
    const std::string title = describe(info);
    const Checkpoint::Head head = checkpoint.head();
    const auto is_gone = [this](const tw_file& file) {
        return file.slot != TW_NO_SLOT && !capture_.adopt(file);
    };
    const auto& files = head.start.files;
    if (std::any_of(std::begin(files), std::end(files), is_gone) &&
        std::all_of(std::begin(files), std::end(files), [&](const tw_file& file) {
            return file.slot == TW_NO_SLOT || is_gone(file);
        })) {
        spdlog::error("{}: the kernel knows its streams no more", title);
        return;
    }
    const std::string directory = layout::container_directory(store_.path(), info.id);
    const auto log = restore_log(std::move(info), head.run);
    const bool another_run = log.use_count() > 1;
    auto ahead = look_ahead(directory, saved_run(checkpoint), log->recovery());
    if (!ahead) {
        spdlog::error("{}: {}", title, ahead.error().message());
        // The checkpoint tells what was in it for sure.
        ahead.emplace();
    }
    Run& run = runs_[head.start.run];
    run.start = head.start;
    touch(run);
    run.number = head.run;
    run.log = log;
    run.checkpoint = std::move(checkpoint);
    run.merger = std::make_unique<EntryMerger>(*log);
    tell_shared_prefix(log->info());
    capture_.may_skip(head.start.run, log->retained_bytes());
    for (const Source source : {Source::stdout_, Source::stderr_}) {
        const auto index = static_cast<std::size_t>(source);
        const tw_file& file = run.start.files[index];
        // Another run has it, whether that could be restored or not.
        if (file.slot != TW_NO_SLOT && capture_.run_of(file.slot) != run.start.run) continue;
        add_stream(run, source);
        if (run.streams[index] == nullptr) continue;
        const Checkpoint::Progress& progress = run.checkpoint->progress(source);
        StreamCounters& counters = log->info().streams[index];
        // Each checkpoint has what was counted when it was saved; of two runs' the later one holds.
        if (!another_run || progress.bytes > counters.bytes) progress.apply_to(counters);
        const LogAhead::Stream& found = ahead->streams[index];
        run.streams[index]->resume(found.in_log, progress.done, run.checkpoint->begun(source));
        if (found.in_log <= progress.done) continue;
        counters.bytes += found.in_log - progress.done;
        counters.lost += found.lost;
        counters.gaps += found.gaps;
    }
    watch(run);
    spdlog::info("{}: captured on, after a daemon that ended without a word", title);
}

void Recorder::start_housekeeping() {
    if (log_options_.housekeeper) log_options_.housekeeper->start();
}

void Recorder::set_log_options(LogWriter::Options options) {
    flush();
    // Two of them would get in each other's way.
    if (log_options_.housekeeper) log_options_.housekeeper->stop();
    log_options_ = std::move(options);
    start_housekeeping();
    for (const auto& [id, known] : logs_) {
        const auto log = known.lock();
        if (log == nullptr || !log->is_open()) continue;
        tell_still_at_work();
        // Its writer knows of bytes that it could not write.
        if (log->has_pending()) {
            spdlog::warn(
                "{}: goes on with the old options until the next start, as its log cannot "
                "be written now",
                describe(log->info()));
            continue;
        }
        if (auto writer = open_writer(log->info())) {
            log->set_writer(std::move(*writer));
        } else {
            spdlog::error("{}: goes on with the old options: {}", describe(log->info()),
                          writer.error().message());
        }
    }
}

void Recorder::finish_all(const StreamsLook& look) {
    for (auto& [key, run] : runs_) {
        finish_run(key, run, look);
        close_run(run);
    }
    active_.clear();
    runs_.clear();
    pay_debts();
    for (const auto& log : owing_) {
        spdlog::error("{}: {} bytes are missing at the end of its log", describe(log->info()),
                      log->dropped_bytes());
    }
}

void Recorder::flush() {
    for (const Run* run : active_) flush(*run->log);
}

void Recorder::pay_debts() {
    for (const auto& [id, known] : logs_) {
        if (const auto log = known.lock(); log != nullptr && !log->is_open()) open_late(log);
    }
    std::erase_if(owing_, [this](const std::shared_ptr<ContainerLog>& log) {
        flush(*log);
        return log->dropped_bytes() == 0;
    });
}

// Whether it says what the log says.
bool Recorder::save_checkpoint(Run& run) {
    // open_late() makes one.
    if (!run.checkpoint) return true;
    // What a full disk has cost has no entry yet: the next daemon finds the gap by itself.
    if (run.log->dropped_bytes() > 0) return false;
    const ContainerInfo& info = run.log->info();
    std::vector<Checkpoint::Stream> streams;
    for (const Source source : {Source::stdout_, Source::stderr_}) {
        const auto index = static_cast<std::size_t>(source);
        const auto& stream = run.streams[index];
        if (stream == nullptr) continue;
        streams.push_back(
            {source, stream->assembler().next(), info.streams[index], stream->splitter()});
    }
    auto saved = run.checkpoint->save(streams);
    if (!saved) tell(info, saved.error());
    return saved.has_value();
}

// Nothing of it waits, for its other end, for the other stream or for its file.
bool Recorder::is_at_rest(const Run& run) {
    return !holds_last_copy(run) && !run.log->has_pending() && run.log->dropped_bytes() == 0 &&
           std::none_of(run.streams.begin(), run.streams.end(), [](const auto& stream) {
               return stream != nullptr && stream->assembler().waits();
           });
}

void Recorder::save_checkpoints() {
    std::erase_if(active_, [this](Run* run) {
        const bool saved = save_checkpoint(*run);
        run->active = !saved || !is_at_rest(*run);
        return !run->active;
    });
}

bool Recorder::holds_last_copy(const Run& run) {
    return run.merger->waits() ||
           std::any_of(run.streams.begin(), run.streams.end(), [](const auto& stream) {
               return stream != nullptr && stream->assembler().holds_last_copy();
           });
}

bool Recorder::holds_last_copy() const {
    return std::any_of(active_.begin(), active_.end(),
                       [](const Run* run) { return holds_last_copy(*run); });
}

void Recorder::let_go(Run& run) {
    for (const auto& stream : run.streams) {
        if (stream != nullptr) stream->assembler().tick(~std::uint64_t{0});
    }
    run.merger->flush();
}

void Recorder::let_go() {
    for (Run* run : active_runs()) let_go(*run);
}

bool Recorder::secure(std::uint64_t key, bool let_go) {
    const auto found = runs_.find(key);
    if (found == runs_.end()) return true;
    Run& run = found->second;
    if (let_go) this->let_go(run);
    if (holds_last_copy(run)) return false;
    flush(*run.log);
    save_checkpoint(run);
    return true;
}

void Recorder::save(ContainerLog& log) {
    const ContainerInfo& info = log.info();
    auto saved = store_.save(info);
    log.set_dirty(!saved);
    if (saved) {
        unsaved_.erase(info.id);
        return;
    }
    tell(info, saved.error());
    // The log may be given up before the disk is well again.
    unsaved_.insert_or_assign(info.id, info);
}

void Recorder::save_owed() {
    std::erase_if(unsaved_, [this](const auto& item) {
        if (is_open(item.first)) return true;
        auto saved = store_.save(item.second);
        if (!saved) tell(item.second, saved.error());
        return saved.has_value();
    });
}

void Recorder::save_changes() {
    save_owed();
    for (auto& [key, run] : runs_) {
        if (run.log->dirty()) save(*run.log);
    }
}

void Recorder::keep_files() {
    save_owed();
    if (trouble_.is_over(boot_time_now())) spdlog::info("the store can be written to again");
    auto run = runs_.upper_bound(kept_last_);
    for (std::size_t left = std::min(runs_.size(), kept_at_once); left > 0; --left, ++run) {
        if (run == runs_.end()) run = runs_.begin();
        kept_last_ = run->first;
        ContainerLog& log = *run->second.log;
        if (registry_.refresh(log.info())) log.set_dirty(true);
        if (log.dirty()) save(log);
    }
    refresh_ended();
}

// A run of this container's is here.
bool Recorder::is_open(const std::string& id) const {
    const auto log = logs_.find(id);
    return log != logs_.end() && !log->second.expired();
}

// Nobody else in this process has it, or will have something else to save of it.
bool Recorder::may_refresh(const std::string& id) const {
    return !is_open(id) && !unsaved_.contains(id) && !is_of_one_start(id);
}

// A stopped container keeps its runtime's name for it, until the log is gone: it is never made
// anew. Of one whose owner is not known, anybody's runtime could change the name.
void Recorder::refresh_ended() {
    const std::uint64_t now = boot_time_now();
    if (ended_left_.empty()) {
        if (now < next_ended_) return;
        next_ended_ = now + between_ended_ns;
        ended_left_ = store_.container_ids();
    }
    for (std::size_t left = ended_at_once; left > 0 && !ended_left_.empty(); --left) {
        if (boot_time_now() - now > longest_for_ended_ns) return;
        const std::string id = std::move(ended_left_.back());
        ended_left_.pop_back();
        if (!may_refresh(id)) continue;
        auto info = store_.load(id);
        if (!info || info->id != id || info->state != ContainerState::ended || !info->owner) {
            continue;
        }
        // Most have been removed.
        if (registry_.presence_at_home(*info) != Presence::there) continue;
        if (!registry_.refresh(*info)) continue;
        if (auto saved = store_.save(*info); !saved) tell(*info, saved.error());
    }
}

void Recorder::settle_former() {
    auto catalog = read_catalog(store_.path());
    if (!catalog) {
        spdlog::error("{}", catalog.error().message());
        return;
    }
    for (const Error& error : catalog->unreadable) spdlog::warn("{}", error.message());
    for (CatalogItem& item : catalog->containers) {
        ContainerInfo& info = item.info;
        if (info.state != ContainerState::running) continue;
        if (is_open(info.id)) continue;
        info.state = ContainerState::ended;
        // When, nobody saw. Not now: the host may have been off for a week.
        const std::int64_t last_known = last_known_ns(info);
        info.ended_ns = last_known != 0 ? last_known : wall_time_now();
        auto settled = store_.save(info);
        if (settled) settled = Checkpoint::remove_all(item.directory);
        if (!settled) spdlog::error("{}: {}", describe(info), settled.error().message());
    }
}

}  // namespace twinlog
