// What the words of a command line mean.
#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace twinlog;

TEST_CASE("an option's value may be empty behind =", "[command_line]") {
    CLI::App app;
    std::string level = "none";
    app.add_option("--level", level);
    CLI::App* const logs = app.add_subcommand("logs");
    std::string since = "none";
    std::string tail = "none";
    std::vector<std::string> names;
    bool follow = false;
    logs->add_option("--since", since);
    logs->add_option("-n,--tail", tail);
    logs->add_flag("-f,--follow", follow);
    logs->add_option("NAME", names);
    using Names = std::vector<std::string>;

    SECTION("it takes no other word") {
        parse_words(app, {"--level=", "logs", "--since=", "--tail=", "web", "db"});
        CHECK(level.empty());
        CHECK(since.empty());
        CHECK(tail.empty());
        CHECK(names == Names{"web", "db"});
    }
    SECTION("in the last place") {
        parse_words(app, {"logs", "web", "--since="});
        CHECK(since.empty());
        CHECK(names == Names{"web"});
    }
    SECTION("what is itself a value stays as it is") {
        parse_words(app, {"--level=x=", "logs", "--since", "--tail=", "-fn", "--since=", "web"});
        CHECK(level == "x=");
        CHECK(since == "--tail=");
        CHECK(tail == "--since=");
        CHECK(follow);
        CHECK(names == Names{"web"});
    }
    SECTION("and so does all behind --") {
        parse_words(app, {"logs", "--since=1", "--", "--since=", "logs"});
        CHECK(since == "1");
        CHECK(names == Names{"--since=", "logs"});
    }
}
