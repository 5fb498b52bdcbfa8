#include "cli/log_session.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/escape.h"
#include "cli/command.h"
#include "store/container_info.h"

namespace twinlog {

namespace {

// Large writes when there is much to print; when there is not, idle flushes at once.
constexpr std::size_t flush_size = std::size_t{128} * 1024;
// While there is plenty to print, how many lines pass between two looks at the store.
constexpr std::uint32_t look_interval = 4096;
constexpr std::size_t short_id = 12;  // as docker ps

bool has_same_directory(const CatalogItem& a, const CatalogItem& b) {
    return a.directory == b.directory;
}

// Some descriptors a container: the usual 1024 are soon gone.
void allow_many_files() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    // Where it fails, opening tells.
    [[maybe_unused]] const int ignored = ::setrlimit(RLIMIT_NOFILE, &limit);
}

// What a name takes on the terminal: characters, not bytes.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0U) != 0x80;
    }));
}

}  // namespace

Result<LabelFilter> LabelFilter::parse(std::string_view text) {
    const std::size_t equals = text.find('=');
    LabelFilter filter{std::string(text.substr(0, equals)), std::nullopt};
    if (filter.key.empty()) {
        return fail("invalid value for \"label\"", "no key in \"" + std::string(text) + "\"",
                    "give key or key=value");
    }
    if (equals != std::string_view::npos) filter.value = std::string(text.substr(equals + 1));
    return filter;
}

bool LabelFilter::matches(const ContainerInfo& info) const {
    const auto found = info.labels.find(key);
    return found != info.labels.end() && (!value || found->second == *value);
}

bool LogSelection::takes(const ContainerInfo& info) const {
    if (all) return true;
    return !labels.empty() && std::all_of(labels.begin(), labels.end(),
                                          [&](const auto& label) { return label.matches(info); });
}

Result<std::vector<CatalogItem>> select_logs(const Catalog& catalog, const LogSelection& selection,
                                             bool follow) {
    std::vector<CatalogItem> items;
    const auto take = [&items](const CatalogItem& item) {
        const bool known = std::any_of(items.begin(), items.end(), [&](const CatalogItem& other) {
            return has_same_directory(item, other);
        });
        if (!known) items.push_back(item);
    };
    for (const std::string& wanted : selection.containers) {
        auto found = find_container(catalog, wanted);
        if (!found) return fail(std::move(found).error());
        take(*found);
    }
    for (const CatalogItem& item : catalog.containers) {
        if (selection.takes(item.info)) take(item);
    }
    if (items.empty() && !follow && !selection.all) {
        std::string wanted;
        for (const LabelFilter& label : selection.labels) {
            wanted += (wanted.empty() ? "" : ", ") + label.key;
            if (label.value) wanted += "=" + *label.value;
        }
        return fail({}, "No container with label: " + wanted,
                    "`twinlog ps -a --format json` shows the labels of all");
    }
    return items;
}

LogSession::LogSession(Options options, DaemonWatch daemon)
    : options_(std::move(options)), daemon_(std::move(daemon)) {
    if (options_.filter.pattern && !options_.filter.invert) {
        options_.print.highlight = &*options_.filter.pattern;
    }
    output_ = make_line_output(options_.form, options_.print);
}

// is_new: it came while others were followed, so nothing of it is old.
Status LogSession::add(const CatalogItem& item, bool is_new) {
    ReadOptions read = options_.read;
    if (is_new) read.tail.reset();
    // One that does not run is spared the means of following: the watch over the store tells when
    // it starts again.
    if (watch_ && item.info.state != ContainerState::running) read.follow = false;
    auto source = LineSource::open(item.directory, read, options_.filter);
    if (!source) return fail(std::move(source).error());
    const std::size_t number = merger_.add(std::move(*source));
    if (number == logs_.size()) logs_.emplace_back();
    logs_[number] = {item.directory, {item.info.id, item.info.name, {}}};
    numbers_[item.directory] = number;
    return {};
}

void LogSession::drop(std::size_t number) {
    numbers_.erase(logs_[number].directory);
    logs_[number] = {};
    merger_.drop(number);
}

// Gives all logs the names that tell them apart, padded to the longest.
void LogSession::name_logs() {
    std::map<std::string_view, std::size_t> namesakes;
    for (const auto& [directory, number] : numbers_) ++namesakes[logs_[number].printed.name];
    std::vector<std::string> names(logs_.size());
    std::size_t width = 0;
    for (const auto& [directory, number] : numbers_) {
        const Log& log = logs_[number];
        std::string name = escape_for_terminal(log.printed.name);
        if (namesakes[log.printed.name] > 1)
            name += "/" + escape_for_terminal(log.printed.id.substr(0, short_id));
        width = std::max(width, width_of(name));
        names[number] = std::move(name);
    }
    for (const auto& [directory, i] : numbers_) {
        LineOwner& owner = logs_[i].printed.owner;
        owner.message_prefix = "twinlog: " + names[i] + ": ";
        if (!options_.names) continue;
        const std::string label = names[i] + std::string(width - width_of(names[i]), ' ') + "  | ";
        for (std::size_t stream = 0; stream < owner.line_prefix.size(); ++stream) {
            owner.line_prefix[stream] = label;
            if (!options_.print.style[stream].colour) continue;
            owner.line_prefix[stream] =
                std::string(colour::of(i)) + label + std::string(colour::off);
        }
    }
}

Status LogSession::on_failure(std::size_t number) {
    drop(number);
    all_read_ = false;
    // What came before the failure is shown before it is told.
    if (Status flushed = output_->flush(); !flushed) return flushed;
    report(merger_.error());
    return {};
}

// Once a log: where lines are cut decides what is found in them.
Status LogSession::tell_of_cut(std::size_t number) {
    Log& log = logs_[number];
    if (log.told_of_cut || !merger_.has_cut(number)) return {};
    log.told_of_cut = true;
    if (Status flushed = output_->flush(); !flushed) return flushed;
    report(cut_line_notice(log.printed.name));
    return {};
}

// A container whose container.json was replaced: a new one, or one that started again.
Status LogSession::go_on_with(const std::string& directory) {
    const auto known = numbers_.find(directory);
    if (known != numbers_.end() && !logs_[known->second].ended) return {};
    auto info = read_container_info(directory);
    if (!info) {  // there is none yet, or it is gone
        if (known != numbers_.end() && info.error().code == ENOENT) drop(known->second);
        return {};
    }
    Status went_on;
    if (known == numbers_.end()) {
        if (!options_.selection.takes(*info)) return {};
        went_on = add({directory, std::move(*info)}, true);
        if (went_on) name_logs();
    } else {
        if (info->run <= merger_.run(known->second)) return {};
        went_on = merger_.resume(known->second);
        if (went_on) logs_[known->second].ended = false;
    }
    // It was removed meanwhile.
    if (!went_on && went_on.error().code == ENOENT) return {};
    return went_on;
}

Status LogSession::look_around() {
    auto changes = watch_->drain();
    if (!changes) return fail(std::move(changes).error());
    for (const std::string& directory : changes->removed) {
        const auto known = numbers_.find(directory);
        if (known != numbers_.end() && logs_[known->second].ended) drop(known->second);
    }
    for (const std::string& directory : changes->changed) {
        if (Status went_on = go_on_with(directory); !went_on) return went_on;
    }
    return {};
}

Status LogSession::on_ended(std::size_t number) {
    logs_[number].ended = true;
    if (Status told = tell_of_cut(number); !told) return told;
    // What the watch told while it was still being read counted for nothing.
    return watch_ ? go_on_with(std::string(logs_[number].directory)) : Status();
}

Status LogSession::wait() {
    for (const auto& [directory, number] : numbers_) {
        if (Status told = tell_of_cut(number); !told) return told;
    }
    output_->pause();
    if (Status flushed = output_->flush(); !flushed) return flushed;
    const auto woken = merger_.wait(watch_ ? watch_->fd() : -1, STDOUT_FILENO, daemon_.fd());
    if (!woken) return fail(woken.error());
    if (*woken == LogMerger::Wake::stop) done_ = true;
    if (*woken != LogMerger::Wake::watched) return {};
    daemon_.look();
    return watch_ ? look_around() : Status();
}

Result<bool> LogSession::run(const std::vector<CatalogItem>& items) {
    auto printed = print(items);
    // Even where standard output broke, standard error is told what is to be told at the end.
    output_->finish();
    Status flushed = output_->flush();
    if (printed && !flushed) return pass_on(std::move(flushed));
    return printed;
}

Result<bool> LogSession::print(const std::vector<CatalogItem>& items) {
    if (items.size() > 1 || options_.selection.is_open()) allow_many_files();
    if (options_.read.follow && options_.selection.is_open()) {
        auto watch = StoreWatch::open(options_.store);
        if (!watch) return fail(std::move(watch).error());
        watch_ = std::move(*watch);
    }
    for (const CatalogItem& item : items) {
        Status added = add(item, false);
        const bool is_gone =
            !added && added.error().code == ENOENT && options_.selection.takes(item.info);
        if (!added && !is_gone) return pass_on(std::move(added));
    }
    name_logs();
    // What came between the listing and the watch.
    if (watch_) {
        auto again = read_catalog(options_.store);
        if (!again) return fail(std::move(again).error());
        for (const CatalogItem& item : again->containers) {
            if (Status went_on = go_on_with(item.directory); !went_on) {
                return pass_on(std::move(went_on));
            }
        }
    }
    std::uint32_t since_look = 0;
    while (!done_) {
        Status going = {};
        switch (merger_.next()) {
            case LogMerger::Step::line:
                going = tell_of_cut(merger_.source());
                output_->print(logs_[merger_.source()].printed, merger_.line());
                break;
            case LogMerger::Step::damage:
                output_->print(logs_[merger_.source()].printed, merger_.damage());
                break;
            case LogMerger::Step::ended:
                going = on_ended(merger_.source());
                break;
            case LogMerger::Step::failure:
                going = on_failure(merger_.source());
                break;
            case LogMerger::Step::idle:
                going = wait();
                break;
            case LogMerger::Step::end:
                if (watch_) {
                    going = wait();
                } else {
                    done_ = true;
                }
                break;
        }
        if (going && watch_ && ++since_look >= look_interval) {
            since_look = 0;
            going = look_around();
        }
        if (going && output_->output().size() >= flush_size) going = output_->flush();
        if (!going) return pass_on(std::move(going));
    }
    return all_read_;
}

}  // namespace twinlog
