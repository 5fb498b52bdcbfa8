// Whether a daemon keeps the logs that are read up to date.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "store/store.h"

namespace twinlog {

// Whether it is known that none runs with this store.
bool is_without_daemon(const Store& store);
// "twinlog: no daemon runs with this store: <consequence>" on stderr.
void tell_no_daemon(std::string_view consequence);

// Tells on stderr, once each time, that no daemon writes to the logs any more.
class DaemonWatch {
 public:
    // Watches nothing.
    DaemonWatch() = default;
    // Tells at once if none runs, who does not follow on a terminal only. follows: the reader waits
    // for more, so that one may go later.
    static DaemonWatch start(const std::string& store, bool follows);

    // Readable when look() is due; -1 where nothing is watched.
    [[nodiscard]] int fd() const { return timer_.get(); }
    // Returns whether it was due; never blocks.
    bool look();

 private:
    std::optional<Store> store_;
    UniqueFd timer_;
    std::uint32_t absences_ = 0;  // looks in a row that found none
    bool told_ = false;
};

}  // namespace twinlog
