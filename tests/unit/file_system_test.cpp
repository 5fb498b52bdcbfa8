// Whole-file helpers and the real file system.
#include "base/file_system.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <string>
#include <thread>

#include "temp_directory.h"

using namespace twinlog;

namespace {

mode_t mode_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_mode & 07777U;
}

}  // namespace

TEST_CASE("file system: a file is replaced as a whole", "[file_system]") {
    const TempDirectory directory;
    const std::string path = directory / "file";
    REQUIRE(write_file_atomically(path, "old contents", 0640));
    REQUIRE(write_file_atomically(path, "new", 0640));
    CHECK(contents_of(path) == "new");
    CHECK_FALSE(std::filesystem::exists(path + ".new"));
    CHECK((mode_of(path) & 0137U) == 0);

    // A directory in the way: the failure is told and leaves nothing behind.
    std::filesystem::create_directory(directory / "taken");
    put_file(directory / "taken" + "/x", "");
    const Status failed = write_file_atomically(directory / "taken", "new", 0640);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().subject == directory / "taken");
    CHECK_FALSE(std::filesystem::exists(directory / "taken.new"));

    const Status nowhere = write_file_atomically(directory / "no/file", "new", 0640);
    REQUIRE_FALSE(nowhere);
    CHECK(nowhere.error().code == ENOENT);
}

TEST_CASE("file system: nothing is written through a symbolic link", "[file_system]") {
    const TempDirectory directory;
    put_file(directory / "victim", "safe");
    std::filesystem::create_symlink(directory / "victim", directory / "log");
    const auto opened = real_file_system().open_log(directory / "log", 0640);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == ELOOP);

    std::filesystem::create_symlink(directory / "victim", directory / "file.new");
    CHECK_FALSE(write_file_atomically(directory / "file", "new", 0640));
    CHECK(contents_of(directory / "victim") == "safe");
}

TEST_CASE("file system: a file is read up to a size", "[file_system]") {
    const TempDirectory directory;
    const std::string text(40000, 'x');
    put_file(directory / "file", text);
    const auto all = read_file(directory / "file", text.size());
    REQUIRE(all);
    CHECK(*all == text);
    const auto too_large = read_file(directory / "file", text.size() - 1);
    REQUIRE_FALSE(too_large);
    CHECK(too_large.error().subject == directory / "file");
    const auto missing = read_file(directory / "missing", 1);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ENOENT);
}

TEST_CASE("file system: a directory is made unless it is there", "[file_system]") {
    const TempDirectory directory;
    CHECK(make_directory(directory / "a", 0700));
    CHECK(mode_of(directory / "a") == 0700);
    CHECK(make_directory(directory / "a", 0700));
    CHECK_FALSE(make_directory(directory / "b/c", 0700));
    put_file(directory / "file", "");
    const Status in_the_way = make_directory(directory / "file", 0700);
    REQUIRE_FALSE(in_the_way);
    CHECK(in_the_way.error().code == ENOTDIR);
}

TEST_CASE("file system: logs are appended to, cut, renamed and removed", "[file_system]") {
    const TempDirectory directory;
    const std::string path = directory / "log";
    FileSystem& files = real_file_system();
    auto fd = files.open_log(path, 0640);
    REQUIRE(fd);
    CHECK(files.write(fd->get(), "hello") == 5);
    CHECK(files.truncate(fd->get(), 2) == 0);
    CHECK(files.write(fd->get(), "y") == 1);
    CHECK(contents_of(path) == "hey");
    CHECK(file_size(fd->get(), path).value() == 3);
    CHECK(files.rename(path, directory / "other"));
    const Status missing = files.rename(path, directory / "other");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ENOENT);
    CHECK(files.remove(directory / "other"));
    CHECK(files.remove(directory / "other"));
    CHECK_FALSE(std::filesystem::exists(directory / "other"));
}

TEST_CASE("file system: writing waits for a pipe that does not block", "[file_system]") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) == 0);
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    const std::string wanted(1'000'000, 'x');
    std::string found;
    std::atomic<bool> full = false;
    // Nobody reads before it is full.
    pollfd room{writing.get(), POLLOUT, 0};
    std::thread reader([&] {
        while (::poll(&room, 1, 0) == 1) std::this_thread::yield();
        full = true;
        full.notify_one();
        pollfd bytes{reading.get(), POLLIN, 0};
        while (found.size() < wanted.size() && ::poll(&bytes, 1, -1) == 1) {
            std::string block(4096, '\0');
            const ssize_t got = ::read(reading.get(), block.data(), block.size());
            if (got == 0) return;
            if (got > 0) found.append(block, 0, static_cast<std::size_t>(got));
        }
    });
    const Status written = write_all(writing.get(), wanted, "pipe");
    CHECK(written);
    full.wait(false);
    writing.reset();
    reader.join();
    CHECK((found == wanted));
}
