// The forms of output, where they differ from what is printed of each line.
#include "cli/line_output.h"

#include <catch2/catch.hpp>
#include <string>

#include "entries.h"

using namespace twinlog;

TEST_CASE("the raw form tells at its end what is missing", "[line_output]") {
    const auto output = make_line_output(OutputForm::raw, {});
    const PrintedLog log{"id", "web", {"twinlog: web: ", {}}};
    Line line;
    line.entry = whole("a");
    output->print(log, line);
    line.entry = whole("");
    line.entry.gap = Gap{1'000, GapReason::ring_full};
    output->print(log, line);
    output->print(log, Damage{Damage::Kind::skipped, "container-cached.log", 7, 555});
    // These bytes had been read before.
    output->print(log, Damage{Damage::Kind::shrunk, "container-cached.log", 7, 100});
    output->finish();
    const auto pieces = output->output().pieces();
    REQUIRE(pieces.size() == 2);
    CHECK(pieces[0].text == "a\n");
    CHECK(pieces[1].to == Source::stderr_);
    CHECK(pieces[1].text == "twinlog: web: 1,555 bytes lost, in 3 places; -o short shows where\n");
}
