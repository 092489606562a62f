# SPDX-License-Identifier: Apache-2.0
# libescapement, shared and static, and the program.

# Before 1.0 a minor version may change the ABI, so that it is part of the SONAME.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(abi_version 0.${PROJECT_VERSION_MINOR})
else()
  set(abi_version ${PROJECT_VERSION_MAJOR})
endif()

configure_file(include/escapement/version.h.in ${PROJECT_BINARY_DIR}/include/escapement/version.h @ONLY)
# The installed headers: those of the folder itself, none of internal/.
file(GLOB public_headers CONFIGURE_DEPENDS include/escapement/*.h)
list(APPEND public_headers ${PROJECT_BINARY_DIR}/include/escapement/version.h)

set(link_language C)
set(objects ${steps} $<TARGET_OBJECTS:escapement_science> $<TARGET_OBJECTS:escapement_host>
            $<TARGET_OBJECTS:escapement_backends>)
if(cuda)
  list(APPEND objects $<TARGET_OBJECTS:escapement_kernels>)
  set(link_language CUDA)
endif()

add_library(escapement_shared SHARED ${objects})
add_library(escapement_static STATIC ${objects})
foreach(library escapement_shared escapement_static)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME escapement LINKER_LANGUAGE ${link_language})
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)
  target_link_libraries(${library} PRIVATE $<BUILD_INTERFACE:escapement_dependencies>)
  if(cuda)
    target_link_libraries(${library} PRIVATE $<BUILD_INTERFACE:escapement_cuda_runtime>)
  endif()
endforeach()
set_target_properties(escapement_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${abi_version})
# Nothing undefined, no relocations in code, and no symbols of a dependency that is linked statically
# (SUNDIALS of build/deps).
target_link_options(escapement_shared PRIVATE LINKER:-z,text LINKER:--exclude-libs,ALL)
if(ESCAPEMENT_SANITIZE)
  target_link_options(escapement_shared PRIVATE -fsanitize=address,undefined)
elseif(NOT ESCAPEMENT_FUZZ)
  target_link_options(escapement_shared PRIVATE LINKER:--no-undefined)
endif()

# The program uses internals of the library, which the shared one hides, so it is linked from the
# same objects. When host/cli includes public headers alone: escapement_cli_main escapement_shared.
add_executable(escapement host/cli/main.c)
target_link_libraries(escapement PRIVATE escapement_backends escapement_cli)
