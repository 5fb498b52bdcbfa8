// CRI's format: where its files lie.
#include "format/cri.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

using namespace twinlog;

TEST_CASE("directories of pods have names that a file system takes, whatever a label says") {
    const std::string longest(1000, 'x');
    LogOwner owner{.id = std::string(128, 'a'), .name = longest, .runtime = longest, .labels = {}};
    const auto directory = [&owner] {
        const auto places = cri_format().places(owner);
        REQUIRE(places.size() == 1);
        return std::filesystem::path(places.front().path).begin()->string();
    };
    SECTION("of containers without a pod, with all of their id") {
        CHECK(directory().size() <= 255);
        CHECK(directory().ends_with("_" + owner.id));
    }
    SECTION("of pods") {
        for (const char* label : {"namespace", "name", "uid"}) {
            owner.labels[std::string("io.kubernetes.pod.") + label] = longest;
        }
        CHECK(directory().size() <= 255);
    }
    SECTION("unchanged where they are Kubernetes' own") {
        const std::string name_space(63, 'n');
        const std::string pod(100, 'p');
        const std::string uid = "0f2cbf0b-7b3c-4b6e-9a5e-0c5a9d0e7f11";
        owner.labels = {{"io.kubernetes.pod.namespace", name_space},
                        {"io.kubernetes.pod.name", pod},
                        {"io.kubernetes.pod.uid", uid}};
        CHECK(directory() == name_space + "_" + pod + "_" + uid);
    }
}
