# SPDX-License-Identifier: Apache-2.0
# What an installed libescapement.a has to be linked with, and where an installed program finds
# libraries that the loader does not look for.

# Directories in which `libraries` (paths) lie outside the loader's paths. The directory is that of
# the file itself: Debian's HDF5 is linked through a folder that holds nothing but links.
function(escapement_directories_outside out)
  set(found "")
  foreach(library ${ARGN})
    if(library MATCHES "\\.so[.0-9]*$")
      file(REAL_PATH ${library} file)
      get_filename_component(directory ${file} DIRECTORY)
      if(NOT directory IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
        list(APPEND found ${directory})
      endif()
    endif()
  endforeach()
  list(REMOVE_DUPLICATES found)
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# `libraries` (paths or options) as a linker is given them: by name where it looks for them, else by path.
function(escapement_link_items out)
  set(items "")
  foreach(library ${ARGN})
    get_filename_component(directory "${library}" DIRECTORY)
    if(directory IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
      get_filename_component(name ${library} NAME)
      string(REGEX REPLACE "^lib(.*)\\.(so[.0-9]*|a)$" "-l\\1" library ${name})
    endif()
    list(APPEND items ${library})
  endforeach()
  list(REMOVE_DUPLICATES items)
  set(${out} "${items}" PARENT_SCOPE)
endfunction()
