# SPDX-License-Identifier: Apache-2.0
# PCG is headers only and has no pkg-config file in Debian. Target: PCG::pcg
find_path(PCG_INCLUDE_DIR pcg_random.hpp)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(PCG REQUIRED_VARS PCG_INCLUDE_DIR)
if(PCG_FOUND AND NOT TARGET PCG::pcg)
  add_library(PCG::pcg INTERFACE IMPORTED)
endif()
