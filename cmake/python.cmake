# SPDX-License-Identifier: Apache-2.0
# The Python package in the build tree, BUILD/python/escapement: host/python with the declarations that
# host/python/declare.py makes of the public headers, and the shared library beside them. It needs
# a Python 3 with cffi; tests and programs use it with PYTHONPATH=BUILD/python.
find_package(Python3 COMPONENTS Interpreter)
set(python_with_cffi "")
foreach(python ${Python3_EXECUTABLE} /usr/bin/python3)
  if(NOT python_with_cffi)
    execute_process(COMMAND ${python} -c "import cffi, pycparser" RESULT_VARIABLE without_cffi
                    OUTPUT_QUIET ERROR_QUIET)
    if(without_cffi EQUAL 0)
      set(python_with_cffi ${python})
    endif()
  endif()
endforeach()
if(NOT python_with_cffi)
  message(STATUS "Python package: not built and not tested: no Python 3 with cffi (python3-cffi) was found")
  return()
endif()

set(python_package ${PROJECT_BINARY_DIR}/python/escapement)
file(GLOB python_modules CONFIGURE_DEPENDS host/python/escapement/*.py host/python/escapement/py.typed)
set(python_drawing ${PROJECT_SOURCE_DIR}/host/draw/house_style.py ${PROJECT_SOURCE_DIR}/host/draw/plot.py)
add_custom_command(OUTPUT ${python_package}.stamp
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${python_package}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${python_package}/_draw
  COMMAND ${CMAKE_COMMAND} -E copy ${python_modules} ${python_package}
  COMMAND ${CMAKE_COMMAND} -E copy ${python_drawing} ${python_package}/_draw
  COMMAND ${python_with_cffi} ${PROJECT_SOURCE_DIR}/host/python/declare.py ${CMAKE_C_COMPILER}
          ${python_package}/_declarations.py ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include
  COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_FILE:escapement_shared>
          ${python_package}/$<TARGET_SONAME_FILE_NAME:escapement_shared>
  COMMAND ${CMAKE_COMMAND} -E touch ${python_package}.stamp
  DEPENDS ${python_modules} ${python_drawing} ${public_headers} host/python/declare.py
  COMMENT "Python package in ${PROJECT_BINARY_DIR}/python"
  VERBATIM)
add_custom_target(escapement_python ALL DEPENDS ${python_package}.stamp)
add_dependencies(escapement_python escapement_shared)
