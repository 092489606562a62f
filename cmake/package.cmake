# SPDX-License-Identifier: Apache-2.0
# Debian packages: cmake --build BUILD --target product && cpack --config BUILD/CPackConfig.cmake
# The program, the library and what is needed to build with it; their dependencies are those that
# dpkg-shlibdeps finds.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME escapement)
set(CPACK_PACKAGE_VENDOR escapement)
if(NOT CPACK_PACKAGE_CONTACT)
  set(CPACK_PACKAGE_CONTACT "maintainers of escapement <escapement@localhost>")
endif()
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(library_package libescapement${abi_version})

set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "The program: trains thousands of small networks at once, finds the step at which each
leaves its plateau, and compares it with theory.")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME escapement)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS python3-matplotlib)
get_target_property(program_libraries escapement LINK_LIBRARIES)
if(escapement_shared IN_LIST program_libraries)
  set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "${library_package} (= ${PROJECT_VERSION})")
endif()

set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "The shared library, for programs that train and analyse sweeps themselves.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${library_package})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)

set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Headers and static library: what is needed to build programs with the library.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libescapement-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library_package} (= ${PROJECT_VERSION})")
# For libescapement.a alone.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS
    "libgsl-dev, libhdf5-dev, libjansson-dev, libsundials-dev, libxxhash-dev, libyaml-dev")
include(CPack)
