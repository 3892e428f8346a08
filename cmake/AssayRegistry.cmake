# SPDX-License-Identifier: Apache-2.0
# Adding anything is one file and one registry line. A registry.def holds lines like ASSAY_METRIC(accuracy);
# the C preprocessor builds the table from it, CMake checks here that each line has its file and each file its line.

# All .c and .cc files directly in DIR (and its readers/ or sections/ where a registry names it).
function(assay_sources target dir)
  file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.c ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.cc)
  target_sources(${target} PRIVATE ${found})
  target_link_libraries(${target} PRIVATE assay_options)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/harness ${PROJECT_SOURCE_DIR}/harness/include
                                              ${PROJECT_SOURCE_DIR})
endfunction()

# kind: metric -> ASSAY_METRIC(name) in DIR/registry.def, symbol metric_<name>, file DIR/<name>.c
# (commands: cmd_<name>.c).
function(assay_registry target kind dir)
  set(def ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/registry.def)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${def})
  string(TOUPPER ${kind} macro)
  set(prefix "")
  if(kind STREQUAL "command")
    set(prefix "cmd_")
  endif()
  if(NOT EXISTS ${def})
    message(FATAL_ERROR "${dir}/registry.def is missing")
  endif()
  file(STRINGS ${def} lines REGEX "^ASSAY_${macro}\\(")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^ASSAY_${macro}\\(([a-z0-9_]+)\\).*$" "\\1" name "${line}")
    set(file ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/${prefix}${name}.c)
    if(NOT EXISTS ${file})
      message(FATAL_ERROR "${dir}/registry.def names ${name}, but ${dir}/${prefix}${name}.c does not exist")
    endif()
    target_sources(${target} PRIVATE ${file})
  endforeach()
endfunction()

# A static library harness module: assay_module(data harness/data [REGISTRY kind dir] LINK libs...)
function(assay_module name dir)
  cmake_parse_arguments(M "" "" "REGISTRY;LINK" ${ARGN})
  add_library(assay_${name} STATIC)
  assay_sources(assay_${name} ${dir})
  target_link_libraries(assay_${name} PUBLIC ${M_LINK})
  if(M_REGISTRY)
    list(GET M_REGISTRY 0 kind)
    list(GET M_REGISTRY 1 rdir)
    assay_registry(assay_${name} ${kind} ${rdir})
  endif()
endfunction()
