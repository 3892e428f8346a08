# SPDX-License-Identifier: Apache-2.0
# Man page and completion come out of the binary's own option tables.
include(GNUInstallDirs)
foreach(pair "man:assay.1" "completion:assay.bash-completion")
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 verb)
  list(GET pair 1 file)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/${file}
                     COMMAND assay __${verb} > ${CMAKE_BINARY_DIR}/${file} DEPENDS assay VERBATIM)
  list(APPEND generated ${CMAKE_BINARY_DIR}/${file})
endforeach()
add_custom_target(assay_manuals ALL DEPENDS ${generated})
install(TARGETS assay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES harness/include/assay/plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/assay)
install(FILES ${CMAKE_BINARY_DIR}/assay.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/assay.bash-completion
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME assay)
