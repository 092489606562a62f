# SPDX-License-Identifier: Apache-2.0
# How C is compiled here.

# -ffp-contract=off: a fused multiply-add happens where the source says fma and
# nowhere else, so that every compiler and machine rounds alike.
# -fvisibility=hidden: the shared library exports the functions marked ESC_API and nothing else.
# -fno-semantic-interposition: they are inlined and called directly within the library.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_library(escapement_options INTERFACE)
target_compile_definitions(escapement_options INTERFACE _GNU_SOURCE)
target_compile_options(escapement_options INTERFACE
  -Wall -Wextra -Wconversion -Wdouble-promotion -Wshadow -Wstrict-prototypes -Wvla
  -ffp-contract=off -fno-math-errno -fvisibility=hidden -fno-semantic-interposition)
# Beside the headers of the source tree, those that cmake/library.cmake generates.
target_include_directories(escapement_options INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/host ${PROJECT_BINARY_DIR}/include)
target_link_libraries(escapement_options INTERFACE OpenMP::OpenMP_C m)
if(ESCAPEMENT_SANITIZE)
  target_compile_options(escapement_options INTERFACE
    -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(escapement_options INTERFACE -fsanitize=address,undefined)
endif()

# clang warns of NAN and INFINITY too, which are floats.
target_compile_options(escapement_options INTERFACE $<$<C_COMPILER_ID:Clang>:-Wno-double-promotion>)

if(ESCAPEMENT_FUZZ)
  target_compile_options(escapement_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
