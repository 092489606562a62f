# SPDX-License-Identifier: Apache-2.0
# What is installed, and where. The installed tree may be moved, and needs neither source nor build
# tree. Components: program, library and development, as Debian divides packages.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
include(cmake/link_items.cmake)

# Paths of the libraries that are linked with. A shared HDF5 knows itself what it needs.
set(linked ${HDF5_C_HL_LIBRARIES} ${HDF5_C_LIBRARIES})
if(linked MATCHES "hdf5[a-z_]*\\.so")
  list(FILTER linked INCLUDE REGEX hdf5)
endif()
list(APPEND linked ${GSL_LINK_LIBRARIES} ${YAML_LINK_LIBRARIES} ${JANSSON_LINK_LIBRARIES}
     ${XXHASH_LINK_LIBRARIES})
# A SUNDIALS that was unpacked into the project's folder is an archive: it goes where the installed
# libescapement.a finds it when that folder is gone, with its licence.
set(private_folder ${CMAKE_INSTALL_LIBDIR}/escapement)
cmake_path(IS_PREFIX PROJECT_SOURCE_DIR ${SUNDIALS_CVODES} NORMALIZE sundials_is_private)
if(sundials_is_private)
  install(FILES ${SUNDIALS_CVODES} DESTINATION ${private_folder} COMPONENT development)
  install(FILES ${PROJECT_SOURCE_DIR}/build/deps/usr/share/doc/libsundials-dev/copyright COMPONENT library
          DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME SUNDIALS.copyright OPTIONAL)
  get_filename_component(sundials_file ${SUNDIALS_CVODES} NAME)
else()
  list(APPEND linked ${SUNDIALS_CVODES})
endif()
if(cuda)
  get_target_property(cudart CUDA::cudart_static IMPORTED_LOCATION)
  list(APPEND linked ${cudart})
  set(cuda_items -lstdc++ -ldl -lrt -lpthread)
endif()

# The program finds the library beside it, and both find what lies outside the loader's paths. cuBLAS
# is loaded at run time.
escapement_directories_outside(outside ${linked})
list(APPEND outside ${cublas})
file(RELATIVE_PATH library_from_program ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set_target_properties(escapement PROPERTIES INSTALL_RPATH "$ORIGIN/${library_from_program};${outside}")
set_target_properties(escapement_shared PROPERTIES INSTALL_RPATH "${outside}")

# `cmake --build BUILD --target product` makes all that is installed, without the tests; installing
# and packaging build nothing themselves.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
add_custom_target(product)
add_dependencies(product escapement escapement_shared escapement_static)

set_target_properties(escapement_shared PROPERTIES EXPORT_NAME escapement)
set_target_properties(escapement_static PROPERTIES EXPORT_NAME escapement_static)
install(TARGETS escapement RUNTIME COMPONENT program)
install(TARGETS escapement_shared EXPORT escapement-targets
        LIBRARY COMPONENT library NAMELINK_COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS escapement_static EXPORT escapement-static-targets
        ARCHIVE COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/escapement COMPONENT development)

# Specs to start from, and the licence.
file(GLOB examples CONFIGURE_DEPENDS runs/*.yaml)
install(FILES ${examples} DESTINATION ${CMAKE_INSTALL_DATADIR}/escapement/examples COMPONENT program)
file(GLOB licences CONFIGURE_DEPENDS LICENSE* LICENCE* COPYING*)
install(FILES ${licences} DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)

# For programs that use the library: pkg-config, and find_package of CMake. Public headers include no
# header of a dependency, so that only libescapement.a needs to know them.
escapement_link_items(static_items ${linked} ${cuda_items} ${OpenMP_C_FLAGS} -lm)
string(REPLACE ";" " " pkgconfig_items "${static_items}")
set(cmake_items "${static_items}")
if(sundials_is_private)
  set(pkgconfig_items "\${libdir}/escapement/${sundials_file} ${pkgconfig_items}")
  set(cmake_items "\${PACKAGE_PREFIX_DIR}/${private_folder}/${sundials_file};${cmake_items}")
endif()
file(RELATIVE_PATH prefix_from_pkgconfig ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" prefix_from_pkgconfig ${prefix_from_pkgconfig})
configure_file(cmake/escapement.pc.in ${PROJECT_BINARY_DIR}/escapement.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/escapement.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/escapement)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file(${PROJECT_BINARY_DIR}/escapement-config-version.cmake
                                 COMPATIBILITY ${compatibility})
configure_package_config_file(cmake/escapement-config.cmake.in ${PROJECT_BINARY_DIR}/escapement-config.cmake
                              INSTALL_DESTINATION ${config_folder} NO_CHECK_REQUIRED_COMPONENTS_MACRO)
install(FILES ${PROJECT_BINARY_DIR}/escapement-config.cmake
              ${PROJECT_BINARY_DIR}/escapement-config-version.cmake
        DESTINATION ${config_folder} COMPONENT development)
foreach(export escapement-targets escapement-static-targets)
  install(EXPORT ${export} NAMESPACE escapement:: DESTINATION ${config_folder} COMPONENT development)
endforeach()
