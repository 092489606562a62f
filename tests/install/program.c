/* A program that uses the installed library: prints its version, which must be the headers'. */
#include <escapement/status.h>
#include <escapement/version.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  printf("libescapement %s: %s\n", esc_library_version(), esc_status_text(ESC_OK));
  return strcmp(esc_library_version(), ESC_VERSION_STRING) != 0;
}
