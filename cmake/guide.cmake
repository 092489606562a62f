# SPDX-License-Identifier: Apache-2.0
# Man pages, completion scripts, the manual's reference and a JSON Schema of the spec, which tools/guide
# makes of the built program's own tables. It needs Python, and a program that runs here.
find_package(Python3 COMPONENTS Interpreter)
if(NOT Python3_Interpreter_FOUND)
  message(STATUS "Man pages and completions: not built: Python 3 was not found")
elseif(CMAKE_CROSSCOMPILING OR ESCAPEMENT_SANITIZE OR ESCAPEMENT_FUZZ)
  message(STATUS "Man pages and completions: not built: they need a program for this machine, without sanitizers")
else()
  set(guide ${PROJECT_BINARY_DIR}/guide)
  file(GLOB guide_scripts CONFIGURE_DEPENDS tools/guide/*.py)
  add_custom_command(OUTPUT ${guide}.stamp
    COMMAND ${Python3_EXECUTABLE} -I ${PROJECT_SOURCE_DIR}/tools/guide/generate.py
            $<TARGET_FILE:escapement> ${guide}
    COMMAND ${CMAKE_COMMAND} -E touch ${guide}.stamp
    DEPENDS escapement ${guide_scripts})
  add_custom_target(escapement_guide ALL DEPENDS ${guide}.stamp)
  add_dependencies(product escapement_guide)

  install(DIRECTORY ${guide}/man1 ${guide}/man5 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT program)
  install(FILES ${guide}/completions/escapement.bash RENAME escapement COMPONENT program
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${guide}/completions/escapement.fish COMPONENT program
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  install(FILES ${guide}/reference/spec.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/escapement
          COMPONENT program)
  # Debian's zsh looks below /usr in another folder than below other prefixes.
  install(CODE "set(zsh_folder site-functions)
if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\" AND EXISTS /etc/debian_version)
  set(zsh_folder vendor-completions)
endif()" COMPONENT program)
  install(FILES ${guide}/completions/_escapement COMPONENT program
          DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/\${zsh_folder})
endif()
