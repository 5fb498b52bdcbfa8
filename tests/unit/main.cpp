// The one translation unit that holds Catch2 and its main().
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
