# SPDX-License-Identifier: Apache-2.0
# Drawing scripts (each with the house style before it), the report's style, and the specs of the
# paper's figures travel inside the program.
foreach(script plot:plot_script figure:figure_draw)
  string(REPLACE ":" ";" script ${script})
  list(GET script 0 source)
  list(GET script 1 name)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/${name}.py
    COMMAND ${CMAKE_COMMAND} -DSTYLE=${PROJECT_SOURCE_DIR}/host/draw/house_style.py
            -DSCRIPT=${PROJECT_SOURCE_DIR}/host/draw/${source}.py -DOUTPUT=${PROJECT_BINARY_DIR}/${name}.py
            -P ${PROJECT_SOURCE_DIR}/host/draw/bundle.cmake
    DEPENDS host/draw/house_style.py host/draw/${source}.py host/draw/bundle.cmake)
  list(APPEND embedded ${PROJECT_BINARY_DIR}/${name}.py:${name})
endforeach()
foreach(file ${embedded} ${PROJECT_SOURCE_DIR}/host/report/style.css:report_style)
  string(REPLACE ":" ";" file ${file})
  list(GET file 0 source)
  list(GET file 1 name)
  set(header ${PROJECT_BINARY_DIR}/${name}.h)
  add_custom_command(OUTPUT ${header}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${source} -DOUTPUT=${header} -DNAME=${name}
            -P ${PROJECT_SOURCE_DIR}/host/draw/embed.cmake
    DEPENDS ${source} host/draw/embed.cmake)
  list(APPEND embedded_headers ${header})
endforeach()
file(GLOB figure_specs CONFIGURE_DEPENDS runs/figures/*/*.yaml)
set(header ${PROJECT_BINARY_DIR}/figure_specs.h)
add_custom_command(OUTPUT ${header}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR}/runs/figures -DOUTPUT=${header}
          -P ${PROJECT_SOURCE_DIR}/host/figure/embed.cmake
  DEPENDS ${figure_specs} host/figure/embed.cmake)
list(APPEND embedded_headers ${header})

# One target makes them for every part, so that two parts that use one header do not write it twice.
add_custom_target(escapement_embedded DEPENDS ${embedded_headers})
foreach(part escapement_host escapement_cli)
  add_dependencies(${part} escapement_embedded)
  target_include_directories(${part} PRIVATE ${PROJECT_BINARY_DIR})
endforeach()
