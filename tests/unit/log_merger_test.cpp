// Several containers' logs in one: merging, following, coming and going.
#include "read/log_merger.h"

#include <sys/eventfd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/unique_fd.h"
#include "cli/log_session.h"
#include "format/docker_local.h"
#include "read/container_catalog.h"
#include "read/store_watch.h"
#include "store/container_info.h"
#include "store/layout.h"
#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

// A store's directory, with a writer that does by hand what the daemon does.
class HandStore {
 public:
    HandStore() { fs::create_directories(layout::containers_directory(path())); }

    [[nodiscard]] std::string path() const { return directory_.path(); }
    [[nodiscard]] std::string container(const std::string& id) const {
        return layout::container_directory(path(), id);
    }
    void save(const ContainerInfo& info) const {
        fs::create_directories(container(info.id));
        const std::string target = container(info.id) + "/" + std::string(layout::info_file);
        put_file(target + ".tmp", to_json(info));
        fs::rename(target + ".tmp", target);
    }
    void append(const std::string& id, std::string_view text, std::int64_t time_ns,
                Source source = Source::stdout_, std::uint32_t run = 1) const {
        Entry entry;
        entry.source = source;
        entry.line = text;
        entry.time_ns = time_ns;
        entry.run = run;
        std::string bytes;
        docker_local::append(entry, bytes);
        std::ofstream(container(id) + "/" + std::string(layout::log_file),
                      std::ios::binary | std::ios::app)
            << bytes;
    }

 private:
    TempDirectory directory_;
};

ContainerInfo info_of(const std::string& id, ContainerState state = ContainerState::ended) {
    ContainerInfo info;
    info.id = id;
    info.name = "name-" + id;
    info.run = 1;
    info.state = state;
    return info;
}

std::unique_ptr<LineSource> source(const HandStore& store, const std::string& id,
                                   const LineFilter& filter, const ReadOptions& options = {}) {
    auto opened = LineSource::open(store.container(id), options, filter);
    REQUIRE(opened);
    return std::move(*opened);
}

// All that there is now: "number:line", "-number" for an end, "?" for idle.
std::string read(LogMerger& merger) {
    std::string text;
    for (;;) {
        switch (merger.next()) {
            case LogMerger::Step::line:
                text += std::to_string(merger.source()) + ":" +
                        std::string(merger.line().entry.line) + " ";
                break;
            case LogMerger::Step::damage:
                text += "damage ";
                break;
            case LogMerger::Step::ended:
                text += "-" + std::to_string(merger.source()) + " ";
                break;
            case LogMerger::Step::failure:
                FAIL(merger.error().message());
                break;
            case LogMerger::Step::idle:
                return text + "?";
            case LogMerger::Step::end:
                if (!text.empty()) text.pop_back();
                return text;
        }
    }
}

}  // namespace

TEST_CASE("logs are merged by time, each in its own order", "[log_merger]") {
    const HandStore store;
    const LineFilter filter;
    for (const auto* id : {"a", "b"}) store.save(info_of(id));
    store.append("a", "a1", 10);
    store.append("b", "b1", 15);
    store.append("a", "a2", 20);
    store.append("a", "a3", 5);  // a clock that was set back
    store.append("b", "b2", 20);
    store.append("a", "a4", 30);
    LogMerger merger;
    CHECK(merger.add(source(store, "a", filter)) == 0);
    CHECK(merger.add(source(store, "b", filter)) == 1);
    CHECK(read(merger) == "0:a1 1:b1 0:a2 0:a3 1:b2 -1 0:a4 -0");
}

TEST_CASE("streams, patterns and tails are each log's own", "[log_merger]") {
    const HandStore store;
    for (const auto* id : {"a", "b"}) {
        store.save(info_of(id));
        for (int i = 0; i < 6; ++i) {
            store.append(id, id + std::to_string(i), i,
                         i % 2 == 0 ? Source::stdout_ : Source::stderr_);
        }
    }
    const auto all = [&store](const LineFilter& filter, std::uint64_t tail) {
        LogMerger merger;
        ReadOptions options;
        options.tail = tail;
        for (const auto* id : {"a", "b"}) merger.add(source(store, id, filter, options));
        return read(merger);
    };
    LineFilter filter;
    CHECK(all(filter, 1) == "0:a5 -0 1:b5 -1");
    filter.streams = {true, false};
    CHECK(all(filter, 2) == "0:a2 1:b2 0:a4 -0 1:b4 -1");
    auto pattern = Pattern::compile("[24]|b", false);
    REQUIRE(pattern);
    filter.pattern = std::move(*pattern);
    CHECK(all(filter, 1) == "0:a4 -0 1:b4 -1");
    CHECK(all(filter, 0) == "-1 -0");
    CHECK(all(filter, 9) == "1:b0 0:a2 1:b2 0:a4 -0 1:b4 -1");
}

TEST_CASE("an idle log holds up no other", "[log_merger]") {
    const HandStore store;
    const LineFilter filter;
    for (const auto* id : {"a", "b"}) store.save(info_of(id, ContainerState::running));
    store.append("a", "a1", 10);
    LogMerger merger;
    ReadOptions options;
    options.follow = true;
    for (const auto* id : {"a", "b"}) merger.add(source(store, id, filter, options));
    CHECK(read(merger) == "0:a1 ?");

    // Either of the others that are watched wakes it.
    const UniqueFd ready(::eventfd(1, EFD_CLOEXEC));
    auto woken = merger.wait(ready.get(), -1);
    REQUIRE(woken);
    CHECK(*woken == LogMerger::Wake::watched);
    woken = merger.wait(-1, -1, ready.get());
    REQUIRE(woken);
    CHECK(*woken == LogMerger::Wake::watched);

    store.append("b", "b1", 5);
    woken = merger.wait(-1, -1);
    REQUIRE(woken);
    CHECK(*woken == LogMerger::Wake::changed);
    CHECK(read(merger) == "1:b1 ?");

    store.save(info_of("b"));
    REQUIRE(merger.wait(-1, -1));
    CHECK(read(merger) == "-1 ?");

    store.append("a", "a2", 20);
    REQUIRE(merger.wait(-1, -1));
    CHECK(read(merger) == "0:a2 ?");
    store.save(info_of("a"));
    REQUIRE(merger.wait(-1, -1));
    CHECK(read(merger) == "-0");
}

TEST_CASE("a log that says something again is not held up by one that has plenty", "[log_merger]") {
    const HandStore store;
    const LineFilter filter;
    for (const auto* id : {"a", "b"}) store.save(info_of(id, ContainerState::running));
    for (int i = 0; i < 3000; ++i) store.append("a", "plenty", 10 + i);
    LogMerger merger;
    ReadOptions options;
    options.follow = true;
    for (const auto* id : {"a", "b"}) merger.add(source(store, id, filter, options));
    REQUIRE(merger.next() == LogMerger::Step::line);
    store.append("b", "b1", 5);
    int before = 1;
    while (merger.next() == LogMerger::Step::line && merger.source() == 0) ++before;
    CHECK(merger.line().entry.line == "b1");
    CHECK(before < 3000);
}

TEST_CASE("a log that ended goes on when its container starts again", "[log_merger]") {
    const HandStore store;
    const LineFilter filter;
    store.save(info_of("a"));
    store.append("a", "a1", 10);
    LogMerger merger;
    merger.add(source(store, "a", filter));
    CHECK(read(merger) == "0:a1 -0");

    ContainerInfo again = info_of("a", ContainerState::running);
    again.run = 2;
    store.append("a", "a2", 20, Source::stdout_, 2);
    store.save(again);
    REQUIRE(merger.resume(0));
    CHECK(merger.run(0) == 2);
    CHECK(read(merger) == "0:a2 ?");
    store.append("a", "a3", 30, Source::stdout_, 2);
    REQUIRE(merger.wait(-1, -1));
    CHECK(read(merger) == "0:a3 ?");
    again.state = ContainerState::ended;
    store.save(again);
    REQUIRE(merger.wait(-1, -1));
    CHECK(read(merger) == "-0");
}

TEST_CASE("the store tells what comes and goes", "[store_watch]") {
    const HandStore store;
    store.save(info_of("a"));
    auto watch = StoreWatch::open(store.path());
    REQUIRE(watch);
    auto changes = watch->drain();
    REQUIRE(changes);
    CHECK(changes->changed.empty());

    store.save(info_of("a"));
    changes = watch->drain();
    CHECK(changes->changed == std::vector<std::string>{store.container("a")});

    fs::create_directories(store.container("b"));
    changes = watch->drain();
    CHECK(changes->changed == std::vector<std::string>{store.container("b")});
    store.save(info_of("b"));
    changes = watch->drain();
    CHECK(changes->changed == std::vector<std::string>{store.container("b")});
    store.append("b", "text", 1);
    changes = watch->drain();
    CHECK(changes->changed.empty());

    fs::remove_all(store.container("b"));
    changes = watch->drain();
    CHECK(changes->removed == std::vector<std::string>{store.container("b")});
    CHECK_FALSE(StoreWatch::open(store.path() + "/none"));
}

TEST_CASE("labels choose containers as docker ps does", "[log_session]") {
    ContainerInfo info = info_of("a");
    info.labels = {{"app", "shop"}, {"empty", ""}};
    const auto matches = [&info](std::string_view text) {
        const auto filter = LabelFilter::parse(text);
        REQUIRE(filter);
        return filter->matches(info);
    };
    CHECK(matches("app"));
    CHECK(matches("app=shop"));
    CHECK_FALSE(matches("app=sho"));
    CHECK_FALSE(matches("app="));
    CHECK(matches("empty"));
    CHECK(matches("empty="));
    CHECK_FALSE(matches("other"));
    for (const auto* wrong : {"", "=", "=x"}) {
        const auto filter = LabelFilter::parse(wrong);
        REQUIRE_FALSE(filter);
        CHECK(filter.error().message().find("invalid value for \"label\"") == 0);
    }
    LogSelection selection;
    CHECK_FALSE(selection.takes(info));
    selection.labels = {*LabelFilter::parse("app"), *LabelFilter::parse("empty")};
    CHECK(selection.takes(info));
    selection.labels.push_back(*LabelFilter::parse("other"));
    CHECK_FALSE(selection.takes(info));
}

TEST_CASE("containers are chosen once, and unknown ones are named", "[log_session]") {
    const HandStore store;
    ContainerInfo labelled = info_of("b");
    labelled.labels = {{"app", "shop"}};
    store.save(info_of("a"));
    store.save(labelled);
    const auto catalog = read_catalog(store.path());
    REQUIRE(catalog);
    const auto ids = [&catalog](const LogSelection& selection, bool follow = false) {
        const auto items = select_logs(*catalog, selection, follow);
        if (!items) return items.error().message();
        std::string text;
        for (const CatalogItem& item : *items) text += item.info.id;
        return text;
    };
    CHECK(ids({.containers = {"name-b", "b", "a"}}) == "ba");
    CHECK(ids({.containers = {"a"}, .labels = {*LabelFilter::parse("app")}}) == "ab");
    CHECK(ids({.all = true}) == "ab");
    CHECK(ids({.containers = {"a", "nosuch"}}).find("No such container: nosuch") == 0);
    CHECK(ids({.labels = {*LabelFilter::parse("app=x")}}).find("No container with label: app=x") ==
          0);
    CHECK(ids({.labels = {*LabelFilter::parse("app=x")}}, true).empty());
}

TEST_CASE("the number of a log that was dropped is another's", "[log_merger]") {
    const HandStore store;
    const LineFilter filter;
    for (const auto* id : {"a", "b", "c", "d"}) {
        store.save(info_of(id));
        store.append(id, id, 1);
    }
    LogMerger merger;
    CHECK(merger.add(source(store, "a", filter)) == 0);
    CHECK(merger.add(source(store, "b", filter)) == 1);
    CHECK(read(merger) == "0:a -0 1:b -1");
    merger.drop(0);
    CHECK(merger.add(source(store, "c", filter)) == 0);
    CHECK(merger.add(source(store, "d", filter)) == 2);
    CHECK(read(merger) == "0:c -0 2:d -2");
}
