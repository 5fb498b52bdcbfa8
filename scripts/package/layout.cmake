# Run by cpack over the installed tree, before it becomes the package: what Debian has elsewhere or
# compressed than `cmake --install` does, and what only the package has.
set(root "${CPACK_TEMPORARY_INSTALL_DIRECTORY}")
set(package_dir "${CPACK_TWINLOG_SOURCE_DIR}/scripts/package")
set(documents "${root}/usr/share/doc/twinlog")

function(place file directory name)
    file(MAKE_DIRECTORY "${directory}")
    file(COPY_FILE "${file}" "${directory}/${name}")
    file(CHMOD "${directory}/${name}" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

# Without time and name, so that the same tree makes the same package.
function(compress)
    execute_process(COMMAND gzip -9n ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# What `install --strip` leaves and Debian's packages do not have.
execute_process(COMMAND strip --remove-section=.comment --remove-section=.note "${root}/usr/bin/twinlog"
                COMMAND_ERROR_IS_FATAL ANY)
file(MAKE_DIRECTORY "${root}/usr/share/zsh")
file(RENAME "${root}/usr/${CPACK_TWINLOG_ZSH_DIR}" "${root}/usr/share/zsh/vendor-completions")
place("${package_dir}/twinlog.service" "${root}/lib/systemd/system" twinlog.service)
place("${package_dir}/twinlog-capture.service" "${root}/lib/systemd/system" twinlog-capture.service)
place("${package_dir}/twinlog.conf" "${root}/etc/twinlog" twinlog.conf)
place("${package_dir}/throttle.conf" "${documents}/examples" throttle.conf)
place("${package_dir}/lintian-overrides" "${root}/usr/share/lintian/overrides" twinlog)
place("${package_dir}/copyright" "${documents}" copyright)
place("${CPACK_TWINLOG_SOURCE_DIR}/CHANGELOG.md" "${documents}" changelog)
place("${CPACK_TWINLOG_CHANGELOG}" "${documents}" changelog.Debian)
compress("${root}/usr/share/man/man1/twinlog.1" "${documents}/changelog" "${documents}/changelog.Debian")
