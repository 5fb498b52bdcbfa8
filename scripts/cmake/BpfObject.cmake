# bpf_object(NAME SOURCE…): compiles SOURCE for the BPF target and makes a libbpf skeleton of it.
# Defines the interface target NAME_skel, whose include directory holds NAME.skel.h.
find_program(BPF_CLANG NAMES clang clang-14 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
    set(BPF_TARGET_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    set(BPF_TARGET_ARCH arm64)
else()
    message(FATAL_ERROR "no BPF target is known for ${CMAKE_SYSTEM_PROCESSOR}")
endif()

function(bpf_object name source)
    set(object "${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o")
    set(skeleton "${CMAKE_CURRENT_BINARY_DIR}/${name}.skel.h")
    # -mcpu=v3: atomics that return the old value, which stream positions rest on.
    add_custom_command(
        OUTPUT "${skeleton}"
        COMMAND "${BPF_CLANG}" -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror
                -Wno-unused-parameter "-D__TARGET_ARCH_${BPF_TARGET_ARCH}"
                -idirafter "/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}"
                -MD -MF "${object}.d" -MT "${skeleton}"
                -c "${CMAKE_CURRENT_SOURCE_DIR}/${source}" -o "${object}"
        COMMAND "${BPFTOOL}" gen skeleton "${object}" name "${name}_bpf" > "${skeleton}"
        DEPENDS "${source}"
        DEPFILE "${object}.d"
        COMMENT "BPF object and skeleton: ${name}"
        VERBATIM)
    add_custom_target(${name}_skel_files DEPENDS "${skeleton}")
    add_library(${name}_skel INTERFACE)
    add_dependencies(${name}_skel ${name}_skel_files)
    target_include_directories(${name}_skel SYSTEM INTERFACE "${CMAKE_CURRENT_BINARY_DIR}")
    target_include_directories(${name}_skel INTERFACE "${CMAKE_CURRENT_SOURCE_DIR}")
endfunction()
