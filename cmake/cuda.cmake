# SPDX-License-Identifier: Apache-2.0
# Whether the CUDA backend is built, and why not.

# AUTO, ON or OFF from what the user gave: AUTO or any boolean of CMake.
function(escapement_cuda_choice given out)
  string(TOUPPER "${given}" word)
  if(word STREQUAL AUTO)
    set(choice AUTO)
  elseif(word MATCHES "^(ON|YES|TRUE|Y|[0-9]*[1-9][0-9]*)$")
    set(choice ON)
  elseif(word MATCHES "^(0+|OFF|NO|FALSE|N|IGNORE|NOTFOUND|.*-NOTFOUND|)$")
    set(choice OFF)
  else()
    message(FATAL_ERROR "ESCAPEMENT_CUDA=${given}: allowed: AUTO, or a boolean (ON, OFF, YES, NO, 1, 0, ...)")
  endif()
  set(${out} ${choice} PARENT_SCOPE)
endfunction()

# The nvcc that CMake would take: CMAKE_CUDA_COMPILER, CUDACXX or the PATH's; "" if there is none.
function(escapement_find_nvcc out)
  separate_arguments(words UNIX_COMMAND "$ENV{CUDACXX}")
  list(PREPEND words ${CMAKE_CUDA_COMPILER})
  list(APPEND words nvcc)
  set(found "")
  foreach(word ${words})
    if(NOT word MATCHES "NOTFOUND$")
      unset(ESCAPEMENT_NVCC CACHE)
      find_program(ESCAPEMENT_NVCC ${word})
      if(ESCAPEMENT_NVCC)
        set(found ${ESCAPEMENT_NVCC})
        break()
      endif()
    endif()
  endforeach()
  unset(ESCAPEMENT_NVCC CACHE)
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# Why `nvcc` cannot compile a kernel, with what it printed; "" if it can. Works in `folder`.
function(escapement_nvcc_fault nvcc folder out)
  file(WRITE ${folder}/try_nvcc.cu "__global__ void nothing() {}\nint main() { return 0; }\n")
  execute_process(COMMAND ${nvcc} -c try_nvcc.cu -o try_nvcc.o WORKING_DIRECTORY ${folder}
                  RESULT_VARIABLE result OUTPUT_VARIABLE printed ERROR_VARIABLE printed)
  set(fault "")
  if(NOT result EQUAL 0)
    string(STRIP "${printed}" printed)
    set(fault "${nvcc} cannot compile a kernel (exit status ${result}). It printed:\n${printed}")
  endif()
  set(${out} "${fault}" PARENT_SCOPE)
endfunction()

# Why a toolkit of this version cannot build the backend; "" if it can.
function(escapement_toolkit_fault version nvcc out)
  set(fault "")
  if(version VERSION_LESS 12.0)
    set(fault "${nvcc} is of CUDA ${version}; CUDA 12.0 or later is needed (the arguments of \
cudaGraphInstantiate changed with it); set CUDACXX to a newer nvcc")
  endif()
  set(${out} "${fault}" PARENT_SCOPE)
endfunction()

# The architectures to build for by default, of those in `known` (numbers): machine code for every
# one, because compiling PTX at the first use takes a GPU's driver half a minute, and PTX of the
# last one for later GPUs.
function(escapement_architectures known out)
  set(list "")
  foreach(version 70 75 80 86 89 90 100 120)
    if(version IN_LIST known)
      list(APPEND list ${version})
    endif()
  endforeach()
  list(POP_BACK list last)
  list(TRANSFORM list APPEND -real)
  list(APPEND list ${last})
  set(${out} "${list}" PARENT_SCOPE)
endfunction()

# These, of the architectures that `nvcc` knows.
function(escapement_nvcc_architectures nvcc out)
  execute_process(COMMAND ${nvcc} --list-gpu-code OUTPUT_VARIABLE printed ERROR_QUIET)
  string(REGEX MATCHALL "sm_[0-9]+" known "${printed}")
  list(TRANSFORM known REPLACE sm_ "")
  escapement_architectures("${known}" list)
  set(${out} "${list}" PARENT_SCOPE)
endfunction()

# Why there is no CUDA here.
function(escapement_cuda_fault folder out)
  escapement_find_nvcc(nvcc)
  if(NOT nvcc)
    set(fault "no nvcc was found; put it on PATH, or set CUDACXX")
  else()
    escapement_nvcc_fault(${nvcc} ${folder} fault)
    if(NOT fault)
      set(fault "${nvcc} works, but the libraries of its toolkit were not found; set CUDAToolkit_ROOT")
    endif()
  endif()
  set(${out} "${fault}" PARENT_SCOPE)
endfunction()
