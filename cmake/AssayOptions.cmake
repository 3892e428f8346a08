# SPDX-License-Identifier: Apache-2.0
# One interface target, assay_options, carries language level, warnings, sanitizers and hardening.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # plug-ins link harness/base statically
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(ASSAY_SANITIZE "" CACHE STRING "comma-separated sanitizers, e.g. address,undefined")
option(ASSAY_FUZZ "the fuzzer (clang): with ASSAY_SANITIZE=address,undefined" OFF)
option(ASSAY_COVERAGE "gcov instrumentation" OFF)
option(ASSAY_WERROR "warnings are errors" ON)

add_library(assay_options INTERFACE)
target_compile_definitions(assay_options INTERFACE _GNU_SOURCE)
# -ffp-contract=off: results must not depend on whether a compiler fuses a multiply with an add;
# fast paths that want FMA ask for it by intrinsic.
target_compile_options(assay_options INTERFACE -ffp-contract=off -fno-strict-aliasing)
target_compile_options(assay_options INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wformat=2 -Wundef>
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow>)
if(ASSAY_WERROR)
  target_compile_options(assay_options INTERFACE -Werror)
endif()
if(ASSAY_SANITIZE)
  target_compile_options(assay_options INTERFACE -fsanitize=${ASSAY_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(assay_options INTERFACE -fsanitize=${ASSAY_SANITIZE})
  if(ASSAY_SANITIZE MATCHES "undefined")
    target_compile_options(assay_options INTERFACE -fno-sanitize-recover=undefined)
  endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(assay_options INTERFACE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(ASSAY_FUZZ)
  # Limits on what a file may ask for are 1/64 of the usual, so that the fuzzer meets them in moments.
  target_compile_options(assay_options INTERFACE -fsanitize=fuzzer-no-link)
  target_compile_definitions(assay_options INTERFACE OX_LIMIT_SHIFT=6)
endif()
if(ASSAY_COVERAGE)
  target_compile_options(assay_options INTERFACE --coverage)
  target_link_options(assay_options INTERFACE --coverage)
endif()
