# SPDX-License-Identifier: Apache-2.0
# Writes INPUT as a C array of bytes called NAME, NUL at the end.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "static const char ${NAME}[] = {${bytes}0};\n")
