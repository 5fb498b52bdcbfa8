# The Debian package: `cmake --build --preset release --target package`. What is in it beside what
# `cmake --install` installs is in scripts/package; scripts/package/layout.cmake puts it in its places.
set(package_dir "${PROJECT_SOURCE_DIR}/scripts/package")
set(PACKAGE_MAINTAINER "The twinlog maintainers <maintainers@twinlog.invalid>"
    CACHE STRING "Who answers for the Debian package")
configure_file("${package_dir}/changelog.in" "${PROJECT_BINARY_DIR}/package/changelog" @ONLY)

set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_SOURCE_GENERATOR "")
set(CPACK_PACKAGE_VENDOR twinlog)
set(CPACK_PACKAGE_CONTACT "${PACKAGE_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "cached logs of containers, whatever their log driver")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"With most of Docker's log drivers \"docker logs\" has nothing to read. twinlog is
a daemon that sees in the kernel, by BPF, what containers write to their stdout
and stderr, and keeps it in log files in Docker's own format.
.
It needs no change to containers, log drivers or the runtime. A container that
already runs is captured without a restart, a new one from its first byte.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_ENHANCES "docker.io, containerd, podman")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${package_dir}/conffiles;${package_dir}/postinst;${package_dir}/prerm;${package_dir}/postrm")
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS "${package_dir}/layout.cmake")
# Said to layout.cmake, which runs in cpack.
set(CPACK_TWINLOG_SOURCE_DIR "${PROJECT_SOURCE_DIR}")
set(CPACK_TWINLOG_CHANGELOG "${PROJECT_BINARY_DIR}/package/changelog")
set(CPACK_TWINLOG_ZSH_DIR "${TWINLOG_ZSH_DIR}")
include(CPack)
