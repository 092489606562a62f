# SPDX-License-Identifier: Apache-2.0
# The libraries that the project stands on, and whether CUDA is one of them.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(HDF5 REQUIRED COMPONENTS C HL)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(GSL REQUIRED IMPORTED_TARGET gsl)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
# SUNDIALS' own package file wants MPI too; the library of CVODES does not, and it holds the serial
# vectors, dense matrices and solvers that are used with it. tools/quickstart unpacks it into
# build/deps where it is not installed.
list(APPEND CMAKE_PREFIX_PATH ${PROJECT_SOURCE_DIR}/build/deps/usr)
find_path(SUNDIALS_INCLUDE cvodes/cvodes.h REQUIRED)
find_library(SUNDIALS_CVODES sundials_cvodes REQUIRED)

add_library(escapement_dependencies INTERFACE)
target_link_libraries(escapement_dependencies INTERFACE PkgConfig::GSL ${SUNDIALS_CVODES} PkgConfig::YAML
  PkgConfig::JANSSON PkgConfig::XXHASH ${HDF5_C_HL_LIBRARIES} ${HDF5_C_LIBRARIES} OpenMP::OpenMP_C m)
target_include_directories(escapement_dependencies SYSTEM INTERFACE ${SUNDIALS_INCLUDE})
target_include_directories(escapement_dependencies INTERFACE ${HDF5_C_INCLUDE_DIRS})

# Decides whether the CUDA backend is built. Architectures are set before the language is enabled.
include(cmake/cuda.cmake)
set(cuda OFF)
escapement_cuda_choice("${ESCAPEMENT_CUDA}" cuda_choice)
if(NOT cuda_choice STREQUAL OFF)
  if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE) # of an earlier try: nvcc may have been mended
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  # CMake 3.25 changes this target without asking whether it exists; CUDA 13 has none.
  if(NOT TARGET CUDA::nvToolsExt)
    add_library(CUDA::nvToolsExt INTERFACE IMPORTED)
  endif()
  find_package(CUDAToolkit QUIET)
  set(cuda_fault "")
  if(CMAKE_CUDA_COMPILER AND CUDAToolkit_FOUND)
    escapement_toolkit_fault(${CUDAToolkit_VERSION} ${CMAKE_CUDA_COMPILER} cuda_fault)
  endif()
  if(CMAKE_CUDA_COMPILER AND CUDAToolkit_FOUND AND NOT cuda_fault)
    if(NOT CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
      escapement_nvcc_architectures(${CMAKE_CUDA_COMPILER} architectures)
      set(CMAKE_CUDA_ARCHITECTURES "${architectures}" CACHE STRING "GPU architectures")
    endif()
    enable_language(CUDA)
    set(cuda ON)
    message(STATUS "CUDA: toolkit ${CUDAToolkit_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
  else()
    if(NOT cuda_fault)
      escapement_cuda_fault(${PROJECT_BINARY_DIR}/CMakeFiles cuda_fault)
    endif()
    if(cuda_choice STREQUAL ON)
      message(FATAL_ERROR "ESCAPEMENT_CUDA=${ESCAPEMENT_CUDA}: ${cuda_fault}")
    elseif(cuda_fault MATCHES "cannot compile|is needed")
      message(WARNING "${cuda_fault}\nThe CUDA backend is left out; -DESCAPEMENT_CUDA=OFF silences this.")
    endif()
  endif()
endif()
if(NOT cuda)
  message(STATUS "CUDA: not built: for the CPU alone")
else()
  add_library(escapement_cuda_runtime INTERFACE)
  # The runtime is linked statically, as CMake does for CUDA by default (the shared one would be a
  # second runtime in the process), so that the program starts where there is no toolkit.
  target_link_libraries(escapement_cuda_runtime INTERFACE CUDA::cudart_static CUDA::nvtx3
                        ${CMAKE_DL_LIBS})
  # cuBLAS is loaded at run time (host/cuda/cublas.c), from where it was found now or, elsewhere,
  # from where the loader looks.
  get_target_property(cublas CUDA::cublas IMPORTED_LOCATION)
  get_filename_component(cublas ${cublas} DIRECTORY)
  list(APPEND CMAKE_BUILD_RPATH ${cublas})
endif()
