# Writes INPUT as a C array of bytes, NUL at the end.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "static const char plot_script[] = {${bytes}0};\n")
