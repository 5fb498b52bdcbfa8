// `twinlog logs` where whole lines are looked at: several containers, filters, other forms.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/daemon_watch.h"
#include "cli/line_output.h"
#include "read/container_catalog.h"
#include "read/line_filter.h"
#include "read/log_merger.h"
#include "read/log_reader.h"
#include "read/store_watch.h"

namespace twinlog {

// "key" or "key=value".
struct LabelFilter {
    std::string key;
    std::optional<std::string> value;  // none: any

    // Worded as docker words it.
    static Result<LabelFilter> parse(std::string_view text);
    [[nodiscard]] bool matches(const ContainerInfo& info) const;
};

// Which containers of a store.
struct LogSelection {
    std::vector<std::string> containers;  // by name or id
    bool all = false;
    std::vector<LabelFilter> labels;  // those that have all of these; none: no others

    // Whether containers may come that are not there yet.
    [[nodiscard]] bool is_open() const { return all || !labels.empty(); }
    [[nodiscard]] bool takes(const ContainerInfo& info) const;
};

// Those of the catalog, each once, named ones first. The error names what is not there.
Result<std::vector<CatalogItem>> select_logs(const Catalog& catalog, const LogSelection& selection,
                                             bool follow);

class LogSession {
 public:
    struct Options {
        std::string store;
        LogSelection selection;
        ReadOptions read;
        LineFilter filter;
        OutputForm form = OutputForm::short_;
        PrintOptions print;
        bool names = false;  // a container's name before each line
    };

    LogSession(Options options, DaemonWatch daemon);
    LogSession(const LogSession&) = delete;
    LogSession& operator=(const LogSession&) = delete;
    ~LogSession() = default;

    // Prints the logs until they end or nobody reads the output (an error with code EPIPE).
    // Following with LogSelection::is_open() ends with the output only. False: a log could not be
    // read to its end, which was told on stderr while the others went on.
    Result<bool> run(const std::vector<CatalogItem>& items);

 private:
    struct Log {
        std::string directory;
        PrintedLog printed;
        bool ended = false;
        bool told_of_cut = false;
    };

    Result<bool> print(const std::vector<CatalogItem>& items);
    Status add(const CatalogItem& item, bool is_new);
    void drop(std::size_t number);
    void name_logs();
    Status look_around();
    Status go_on_with(const std::string& directory);
    Status on_ended(std::size_t number);
    Status on_failure(std::size_t number);
    Status tell_of_cut(std::size_t number);
    Status wait();

    Options options_;
    std::unique_ptr<LineOutput> output_;
    std::optional<StoreWatch> watch_;
    DaemonWatch daemon_;
    LogMerger merger_;
    std::vector<Log> logs_;                       // by the merger's numbers
    std::map<std::string, std::size_t> numbers_;  // by directory
    bool all_read_ = true;
    bool done_ = false;
};

}  // namespace twinlog
