// The store's directories, ids that may name one, and the daemon's lock.
#include "store/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

Store make_store(const std::string& path) {
    auto store = Store::open(path, /*create=*/true);
    INFO((store ? std::string() : store.error().message()));
    REQUIRE(store);
    return std::move(*store);
}

}  // namespace

TEST_CASE("store: made for the daemon, closed to others", "[store]") {
    const TempDirectory directory;
    const std::string path = directory / "store";
    const Store store = make_store(path);
    CHECK(store.path() == path);
    for (const std::string& made : {path, path + "/containers"}) {
        CHECK(fs::status(made).permissions() == fs::perms::owner_all);
    }
    CHECK(Store::open(path, /*create=*/true));
    CHECK(Store::open(path, /*create=*/false));
}

TEST_CASE("store: one that is not there is named, with the way out", "[store]") {
    const TempDirectory directory;
    const auto missing = Store::open(directory / "missing", /*create=*/false);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().subject == directory / "missing");
    CHECK(missing.error().code == ENOENT);
    CHECK(missing.error().hint.find("--store") != std::string::npos);
    CHECK_FALSE(fs::exists(directory / "missing"));

    put_file(directory / "file", "");
    fs::permissions(directory / "file", fs::perms::all);
    for (const bool create : {false, true}) {
        const auto file = Store::open(directory / "file", create);
        REQUIRE_FALSE(file);
        CHECK(file.error().code == ENOTDIR);
        CHECK(file.error().hint == store_way_out(ENOTDIR));
        const auto empty = Store::open("", create);
        REQUIRE_FALSE(empty);
        CHECK(empty.error().message() == "--store: it is empty — name a directory");
    }
}

TEST_CASE("store: its parents are made, too", "[store]") {
    const TempDirectory directory;
    for (const char* const name : {"a/b/c", "d/e/f/"}) {
        const std::string path = directory / name;
        CHECK(Store::open(path, /*create=*/true));
        CHECK(fs::is_directory(path + "/containers"));
    }
    for (const char* const made : {"a", "a/b", "a/b/c", "d/e"}) {
        CHECK(fs::status(directory / made).permissions() == fs::perms::owner_all);
    }
    put_file(directory / "file", "");
    const auto in_the_way = Store::open(directory / "file/a/b", /*create=*/true);
    REQUIRE_FALSE(in_the_way);
    CHECK(in_the_way.error().code == ENOTDIR);
}

TEST_CASE("store: the way out is one that helps", "[store]") {
    CHECK(store_way_out(ENOSPC).find("--max-total") != std::string::npos);
    CHECK(store_way_out(EROFS).find("mount") != std::string::npos);
    // Nobody is told to become who he is.
    const bool tells_to_be_root = store_way_out(EACCES).find("root") != std::string::npos;
    CHECK(tells_to_be_root == (::geteuid() != 0));
}

TEST_CASE("store: only safe ids name directories", "[store]") {
    const TempDirectory directory;
    Store store = make_store(directory / "store");
    for (const std::string& good :
         {std::string(64, 'f'), std::string(128, '0'), std::string("a"), std::string("pid-1"),
          std::string("A_b.c-d"), std::string("v1.")}) {
        INFO(good);
        CHECK(safe_id(good));
        const auto made = store.make_container(good);
        REQUIRE(made);
        CHECK(fs::is_directory(*made));
        CHECK(fs::path(*made).parent_path() == directory / "store/containers");
    }
    for (const std::string& bad :
         {std::string(), std::string("."), std::string(".."), std::string("../x"),
          std::string("a/b"), std::string("/etc"), std::string("a..b"), std::string(".hidden"),
          std::string("-f"), std::string("a b"), std::string("a\n"), std::string("a\0b", 3),
          std::string("\xc3\xa4"), std::string(129, 'a')}) {
        INFO(bad);
        CHECK_FALSE(safe_id(bad));
        CHECK_FALSE(store.make_container(bad));
        CHECK_FALSE(store.load(bad));
        ContainerInfo info;
        info.id = bad;
        CHECK_FALSE(store.save(info));
    }
    // Escaped, because it goes to a terminal.
    CHECK(store.make_container("\x1b[2J").error().subject == "\\x1b[2J");
}

TEST_CASE("store: containers are saved and loaded", "[store]") {
    const TempDirectory directory;
    Store store = make_store(directory / "store");
    REQUIRE(store.make_container("abc"));
    REQUIRE(store.make_container("abc"));
    CHECK(store.load("abc").error().code == ENOENT);
    ContainerInfo info;
    info.id = "abc";
    info.name = "web";
    for (const ContainerState state : {ContainerState::running, ContainerState::ended}) {
        info.state = state;
        ++info.run;
        REQUIRE(store.save(info));
        CHECK(store.load("abc").value() == info);
        // So that what a full disk costs can be counted.
        const bool runs = state == ContainerState::running;
        CHECK(fs::exists(directory / "store/containers/abc/container.json.spare") == runs);
    }
    REQUIRE(store.make_container("def"));
    fs::create_directory(directory / "store/containers/.hidden");
    auto ids = store.container_ids();
    std::sort(ids.begin(), ids.end());
    CHECK(ids == std::vector<std::string>{"abc", "def"});
    ContainerInfo stranger;
    stranger.id = "never-made";
    CHECK_FALSE(store.save(stranger));
}

TEST_CASE("store: a second daemon is refused with the first one's pid", "[store]") {
    const TempDirectory directory;
    const Store reader = make_store(directory / "store");
    CHECK(reader.daemon_pid().value() == std::nullopt);
    {
        Store first = make_store(directory / "store");
        REQUIRE(first.lock());
        CHECK(reader.daemon_pid().value() == ::getpid());

        Store second = make_store(directory / "store");
        const Status refused = second.lock();
        REQUIRE_FALSE(refused);
        CHECK(refused.error().what ==
              "held by the twinlog daemon with pid " + std::to_string(::getpid()));
        CHECK(refused.error().hint.find("twinlog stop") != std::string::npos);
        // Asking changes nothing.
        CHECK(reader.daemon_pid().value() == ::getpid());

        const Store moved = std::move(first);
        CHECK(reader.daemon_pid().value() == ::getpid());
    }
    CHECK(reader.daemon_pid().value() == std::nullopt);
    Store third = make_store(directory / "store");
    CHECK(third.lock());
}

TEST_CASE("store: a dead daemon's pid does not count", "[store]") {
    const TempDirectory directory;
    Store store = make_store(directory / "store");
    // Longer than any pid: it must be gone when the new one is written.
    put_file(directory / "store/daemon.lock", "1\n23456789012345678\n");
    CHECK(store.daemon_pid().value() == std::nullopt);

    const pid_t child = ::fork();
    if (child == 0) {
        auto daemon = Store::open(directory / "store", /*create=*/true);
        ::_exit(daemon && daemon->lock() ? 0 : 1);  // no destructor runs, as with kill -9
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
    CHECK(contents_of(directory / "store/daemon.lock") == std::to_string(child) + "\n");
    CHECK(store.daemon_pid().value() == std::nullopt);
    REQUIRE(store.lock());
    CHECK(contents_of(directory / "store/daemon.lock") == std::to_string(::getpid()) + "\n");
}

TEST_CASE("store: a daemon that just starts has no pid yet", "[store]") {
    const TempDirectory directory;
    Store store = make_store(directory / "store");
    // What a daemon has done between its two steps: the lock is held, the file is a dead one's.
    put_file(directory / "store/daemon.lock", "1\n");
    const UniqueFd fd(::open((directory / "store/daemon.lock").c_str(), O_RDWR | O_CLOEXEC));
    struct flock first_byte {};
    first_byte.l_type = F_WRLCK;
    first_byte.l_whence = SEEK_SET;
    first_byte.l_len = 1;
    REQUIRE(::fcntl(fd.get(), F_OFD_SETLK, &first_byte) == 0);
    CHECK(store.daemon_pid().value() == std::nullopt);
    const Status refused = store.lock();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().what.find("just starts") != std::string::npos);
}
