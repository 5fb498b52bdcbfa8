// What container.json says of the end of a container's log.
#include "daemon/container_log.h"

#include <catch2/catch.hpp>

#include "entries.h"

using namespace twinlog;

TEST_CASE("where a log ends is known, and whose the last entry is", "[container_log]") {
    ContainerLog log({}, nullptr);
    const auto add = [&log](Source source, std::uint32_t run, std::uint64_t position) {
        Entry entry = whole("abc", source);
        entry.run = run;
        entry.position = position;
        log.on_entry(entry);
    };
    add(Source::stdout_, 1, 0);
    add(Source::stderr_, 1, 10);
    const auto& streams = log.info().streams;
    CHECK(streams[0].end == LogEnd{1, 4, false});
    CHECK(streams[1].end == LogEnd{1, 14, true});
    add(Source::stdout_, 2, 0);
    CHECK(streams[0].end == LogEnd{2, 4, true});
    CHECK(streams[1].end == LogEnd{1, 14, false});
    // The former run ends after the next has begun.
    add(Source::stdout_, 1, 4);
    CHECK(streams[0].end == LogEnd{2, 4, true});
}
