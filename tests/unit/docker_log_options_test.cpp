// Attributes that a container's log options ask for.
#include "container/docker_log_options.h"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

using namespace twinlog;
using nlohmann::json;

namespace {

using Texts = std::map<std::string, std::string>;

const json config = {{"ID", std::string(12, 'a') + std::string(52, 'b')},
                     {"Name", "/web"},
                     {"Image", "sha256:" + std::string(12, 'c') + std::string(52, 'd')},
                     {"Config",
                      {{"Image", "nginx:1"},
                       {"Labels", {{"role", "web"}, {"tier", "front"}, {"number", 5}}},
                       {"Env", {"COLOUR=red=dark", "EMPTY=", "NO_VALUE", 7, "COLD=1"}}}}};

Texts attributes(const Texts& options) {
    return docker_log_attributes(config, {{"LogConfig", {{"Config", options}}}});
}

}  // namespace

TEST_CASE("log options: lists of labels and variables", "[docker_log_options]") {
    CHECK(attributes({}).empty());
    CHECK(attributes({{"labels", "role,none,,tier"}}) == Texts{{"role", "web"}, {"tier", "front"}});
    CHECK(attributes({{"labels", "number"}}).empty());
    CHECK(attributes({{"env", "COLOUR,EMPTY,NO_VALUE"}}) ==
          Texts{{"COLOUR", "red=dark"}, {"EMPTY", ""}});
    CHECK(attributes({{"labels", "role"}, {"env", "COLD"}}) ==
          Texts{{"COLD", "1"}, {"role", "web"}});
}

TEST_CASE("log options: expressions", "[docker_log_options]") {
    CHECK(attributes({{"labels-regex", "i"}}) == Texts{{"tier", "front"}});
    CHECK(attributes({{"env-regex", "^COL"}}) == Texts{{"COLD", "1"}, {"COLOUR", "red=dark"}});
    CHECK(attributes({{"env-regex", ""}}).empty());
    CHECK(attributes({{"env-regex", "("}}).empty());
}

TEST_CASE("log options: tags", "[docker_log_options]") {
    CHECK(attributes({{"tag", ""}}).empty());
    CHECK(attributes({{"tag", "plain"}}) == Texts{{"tag", "plain"}});
    CHECK(
        attributes({{"tag", "{{.Name}}/{{ .ID }} {{.ImageName}} {{.ImageID}} {{.DaemonName}}"}}) ==
        Texts{{"tag", "web/aaaaaaaaaaaa nginx:1 sha256:ccccc docker"}});
    CHECK(attributes({{"tag", "{{.FullID}}"}}).at("tag").size() == 64);
    // What dockerd alone can expand is left out, not made up.
    for (const char* const tag : {"{{.Name", "{{upper .Name}}", "{{.NoSuchField}}", "{{}}"}) {
        CHECK(attributes({{"tag", tag}}).empty());
    }
}

TEST_CASE("log options: files that say nothing", "[docker_log_options]") {
    CHECK(docker_log_attributes(json::object(), json::object()).empty());
    CHECK(docker_log_attributes({{"Config", 5}}, {{"LogConfig", {{"Config", {{"env", "A"}}}}}})
              .empty());
    CHECK(docker_log_attributes(json::object(),
                                {{"LogConfig", {{"Config", {{"labels-regex", "."}}}}}})
              .empty());
}
