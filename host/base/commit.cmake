# SPDX-License-Identifier: Apache-2.0
# Writes commit.h with the working tree's commit, if it changed. A source tree without a repository
# of its own (a tarball, unpacked within another project's repository perhaps) has no commit.
foreach(variable GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_NAMESPACE)
  unset(ENV{${variable}})
endforeach()
execute_process(COMMAND git -C ${SOURCE} rev-parse --show-toplevel
                OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(REAL_PATH "${SOURCE}" source)
set(commit "")
if(top AND EXISTS "${top}")
  file(REAL_PATH "${top}" top)
  if(top STREQUAL source)
    execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define ESC_COMMIT \"${commit}\"\n")
