# What is installed, and where.
# The installed program finds the libraries that it was linked with, in a private prefix too.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS escapement)
