# One interface target carries what every C++ target of the project is compiled with.
set(TWINLOG_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize takes them")

add_library(twinlog_options INTERFACE)
# Designated initializers leave out members on purpose.
target_compile_options(twinlog_options INTERFACE
    -Wall -Wextra -Wpedantic -Werror -Wno-missing-field-initializers)
target_include_directories(twinlog_options INTERFACE "${PROJECT_SOURCE_DIR}/user")
if(TWINLOG_SANITIZE)
    target_compile_options(twinlog_options INTERFACE
        "-fsanitize=${TWINLOG_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(twinlog_options INTERFACE "-fsanitize=${TWINLOG_SANITIZE}")
endif()
if(TWINLOG_FUZZ)
    target_compile_definitions(twinlog_options INTERFACE TWINLOG_FUZZ)
endif()
