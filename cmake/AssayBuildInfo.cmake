# SPDX-License-Identifier: Apache-2.0
# generated/build_info.h: version from VERSION, git revision at configure time, compiler and flags.
execute_process(COMMAND git describe --always --dirty --abbrev=12 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                OUTPUT_VARIABLE ASSAY_GIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT ASSAY_GIT)
  set(ASSAY_GIT "unknown")
endif()
# reconfigure when HEAD moves
foreach(ref .git/HEAD .git/logs/HEAD)
  if(EXISTS ${PROJECT_SOURCE_DIR}/${ref})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${ref})
  endif()
endforeach()
set(ASSAY_COMPILER "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}")
set(ASSAY_BUILD "${CMAKE_BUILD_TYPE}${ASSAY_SANITIZE}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/build_info.h.in ${CMAKE_BINARY_DIR}/generated/build_info.h @ONLY)
