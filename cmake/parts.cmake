# SPDX-License-Identifier: Apache-2.0
# The parts that the library and the program are made of. Each is compiled once, position-independent;
# the libraries of cmake/library.cmake, the program and the tests are linked from the same objects.

# The science: model, reference engine, analysis. Knows no files, no command line.
file(GLOB science CONFIGURE_DEPENDS src/*/*.c)
add_library(escapement_science STATIC ${science})
# Selects may be vectorised.
if(NOT EXISTS ${PROJECT_SOURCE_DIR}/src/model/vector_activation.c) # else the option is lost silently
  message(FATAL_ERROR "src/model/vector_activation.c has moved")
endif()
set_source_files_properties(src/model/vector_activation.c PROPERTIES COMPILE_OPTIONS -fno-trapping-math)
target_link_libraries(escapement_science PUBLIC escapement_options escapement_dependencies)

# The training step of the CPU engine and the loop that bench calls the machine's
# ceiling, once for each instruction set.
set(isa_generic "")
set(isa_avx2 -mavx2 -mfma)
set(isa_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)
set(isas generic)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND isas avx2 avx512)
endif()
foreach(isa ${isas})
  add_library(escapement_step_${isa} OBJECT host/cpu/step.c host/cpu/interleaved.c
                                             host/bench/peak.c)
  target_link_libraries(escapement_step_${isa} PRIVATE escapement_options)
  target_compile_definitions(escapement_step_${isa} PRIVATE ESC_ISA=${isa})
  target_compile_options(escapement_step_${isa} PRIVATE ${isa_${isa}} -fno-trapping-math)
  list(APPEND steps $<TARGET_OBJECTS:escapement_step_${isa}>)
endforeach()

# The host: spec, plan, scheduler, store, CPU engine.
file(GLOB host CONFIGURE_DEPENDS host/*/*.c)
file(GLOB cli CONFIGURE_DEPENDS host/cli/*.c)
file(GLOB host_cuda CONFIGURE_DEPENDS host/cuda/*.c host/bench/ceiling_cuda.c)
set(backends ${PROJECT_SOURCE_DIR}/host/backend/registry.c ${PROJECT_SOURCE_DIR}/host/base/trace.c
    ${PROJECT_SOURCE_DIR}/host/bench/ceiling.c)
list(REMOVE_ITEM host ${host_cuda} ${backends} ${cli} ${PROJECT_SOURCE_DIR}/host/cpu/step.c
     ${PROJECT_SOURCE_DIR}/host/cpu/interleaved.c ${PROJECT_SOURCE_DIR}/host/bench/peak.c)
add_library(escapement_host STATIC ${host} ${steps})
target_link_libraries(escapement_host PUBLIC escapement_science)
# The commit is looked up at every build, not only when configuring.
add_custom_target(escapement_commit
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUTPUT=${PROJECT_BINARY_DIR}/commit.h
          -P ${PROJECT_SOURCE_DIR}/host/base/commit.cmake
  BYPRODUCTS ${PROJECT_BINARY_DIR}/commit.h)
add_dependencies(escapement_host escapement_commit)
# The builder's own flags are part of a result's provenance.
string(STRIP "${CMAKE_BUILD_TYPE} ${CMAKE_C_FLAGS}" build_options)
string(REPLACE "\"" "'" build_options "${build_options}")
target_compile_definitions(escapement_host PRIVATE ESC_BUILD_OPTIONS="${build_options}")

# The command line without its main, for the program and for tests.
list(REMOVE_ITEM cli ${PROJECT_SOURCE_DIR}/host/cli/main.c)
add_library(escapement_cli STATIC ${cli})
target_link_libraries(escapement_cli PUBLIC escapement_host)

# The engines of the build. Objects, because the tests link another set: the CUDA engine
# on the SIMT harness (tests/simt).
add_library(escapement_backends OBJECT ${backends})
target_link_libraries(escapement_backends PUBLIC escapement_options)
if(cuda)
  # -fmad=false: as -ffp-contract=off above. Compressed, the code of all architectures with its line
  # numbers takes a third of the space.
  file(GLOB kernels CONFIGURE_DEPENDS kernels/*.cu)
  add_library(escapement_kernels STATIC ${kernels})
  target_compile_features(escapement_kernels PRIVATE cuda_std_17)
  target_compile_options(escapement_kernels PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false -lineinfo -Werror=all-warnings
    -Xcompiler=-fvisibility=hidden -Xfatbin=-compress-all>)
  target_include_directories(escapement_kernels PUBLIC include kernels)
  target_sources(escapement_backends PRIVATE ${host_cuda})
  string(REPLACE ";" "," architectures "${CMAKE_CUDA_ARCHITECTURES}") # a definition has no lists
  target_compile_definitions(escapement_backends PUBLIC ESC_HAVE_CUDA
                             PRIVATE ESC_CUDA_ARCHITECTURES="${architectures}")
  target_link_libraries(escapement_backends PUBLIC escapement_kernels escapement_cuda_runtime)
endif()
