// The one translation unit that holds Catch2 and its main().
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "container/file_agent.h"

int main(int argc, char** argv) {
    // A FileAgent's process is the program that started it.
    if (argc == 1 && argv[0] == twinlog::file_agent_name) return twinlog::serve_files();
    return Catch::Session().run(argc, argv);
}
