# SPDX-License-Identifier: Apache-2.0
# onnx.pb-c.{c,h} are generated from the onnx.proto of libonnx-dev, not copied. Everything but the entry is the
# static library onnx_core, so that tests/onnx reaches the internals that the plug-in hides.
find_program(PROTOC_C protoc-c REQUIRED)
find_path(ONNX_PROTO_DIR onnx/onnx.proto REQUIRED)
set(onnx_gen ${CMAKE_BINARY_DIR}/generated/onnx)
file(MAKE_DIRECTORY ${onnx_gen})
add_custom_command(
  OUTPUT ${onnx_gen}/onnx.pb-c.c ${onnx_gen}/onnx.pb-c.h
  COMMAND ${PROTOC_C} --proto_path=${ONNX_PROTO_DIR}/onnx --c_out=${onnx_gen} ${ONNX_PROTO_DIR}/onnx/onnx.proto
  DEPENDS ${ONNX_PROTO_DIR}/onnx/onnx.proto
  COMMENT "protoc-c onnx.proto" VERBATIM)

# Generated code is compiled without the project's warnings.
add_library(onnx_proto OBJECT ${onnx_gen}/onnx.pb-c.c ${onnx_gen}/onnx.pb-c.h)
target_include_directories(onnx_proto SYSTEM PUBLIC ${onnx_gen})
target_compile_options(onnx_proto PRIVATE -w)
target_link_libraries(onnx_proto PUBLIC PkgConfig::PROTOBUF_C)

file(GLOB onnx_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/onnx/*.c ${CMAKE_CURRENT_SOURCE_DIR}/onnx/kernels/*.c)
list(REMOVE_ITEM onnx_sources ${CMAKE_CURRENT_SOURCE_DIR}/onnx/entry.c)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/onnx/kernels/registry.def)
add_library(onnx_core STATIC ${onnx_sources} $<TARGET_OBJECTS:onnx_proto>)
add_dependencies(onnx_core onnx_proto)
target_include_directories(onnx_core PUBLIC ${PROJECT_SOURCE_DIR}/harness/include ${PROJECT_SOURCE_DIR}/harness
                                            ${CMAKE_CURRENT_SOURCE_DIR}/onnx)
target_include_directories(onnx_core SYSTEM PUBLIC ${onnx_gen})
target_link_libraries(onnx_core PRIVATE assay_options)
# Vectors of 64 bytes are passed to inlined functions of one file only, so it is no matter which ABI passes them.
target_compile_options(onnx_core PRIVATE $<$<C_COMPILER_ID:GNU>:-Wno-psabi>)
target_link_libraries(onnx_core PUBLIC assay_base PkgConfig::PROTOBUF_C OneDNN::dnnl PkgConfig::OPENBLAS m)

set_property(TARGET plugin_onnx PROPERTY SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/onnx/entry.c)
target_link_libraries(plugin_onnx PRIVATE onnx_core)
# the one exported symbol is assay_plugin_entry
target_link_options(plugin_onnx PRIVATE -Wl,--exclude-libs,ALL)
