# SPDX-License-Identifier: Apache-2.0
include(GNUInstallDirs)
install(TARGETS assay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES harness/include/assay/plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/assay)
install(FILES docs/assay.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES docs/assay.bash-completion DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME assay)
