// Files that can be replaced where no new one can be made.
#include "store/spare_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

struct stat status_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status;
}

}  // namespace

TEST_CASE("spare file: where no new file can be made, the spare one has room", "[spare_file]") {
    const TempDirectory directory;
    const std::string path = directory / "file";
    const std::string spare = path + ".spare";
    REQUIRE(write_file_with_spare(path, "first", 0640));
    CHECK(contents_of(path) == "first");
    CHECK(status_of(spare).st_blocks * 512 >= 4096);

    // No room: what would be written first cannot be.
    fs::create_directory(path + ".new");
    const ino_t first = status_of(path).st_ino;
    const ino_t second = status_of(spare).st_ino;
    std::string contents = "longer than the first";
    for (int i = 0; i < 5; ++i) {
        REQUIRE(write_file_with_spare(path, contents, 0640));
        CHECK(contents_of(path) == contents);
        CHECK(status_of(path).st_ino == (i % 2 == 0 ? second : first));
        CHECK(status_of(spare).st_ino == (i % 2 == 0 ? first : second));
        CHECK(status_of(spare).st_blocks * 512 >= 4096);
        contents.resize(contents.size() - 3);
    }
    fs::remove(path + ".new");
    REQUIRE(write_file_with_spare(path, "last", 0640));
    CHECK(contents_of(path) == "last");
    remove_spare(path);
    CHECK_FALSE(fs::exists(spare));
}

TEST_CASE("spare file: without one the reason is told", "[spare_file]") {
    const TempDirectory directory;
    const std::string path = directory / "file";
    fs::create_directory(path + ".new");
    const Status failed = write_file_with_spare(path, "x", 0640);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().subject == path + ".new");
    CHECK_FALSE(fs::exists(path));
    CHECK_FALSE(fs::exists(path + ".spare"));

    // Killed before the first exchange: what is there is whole, and half a spare is no hindrance.
    put_file(path, "old");
    put_file(path + ".spare", "{ half of");
    REQUIRE(write_file_with_spare(path, "new", 0640));
    CHECK(contents_of(path) == "new");

    // Nothing is written through a link.
    put_file(directory / "victim", "safe");
    fs::remove(path + ".spare");
    fs::create_symlink(directory / "victim", path + ".spare");
    CHECK_FALSE(write_file_with_spare(path, "newer", 0640));
    CHECK(contents_of(path) == "new");
    CHECK(contents_of(directory / "victim") == "safe");
}
