// The same from C++.
#include <escapement/status.h>
#include <escapement/version.h>
#include <iostream>
#include <string>

int main() {
  std::cout << "libescapement " << esc_library_version() << ": " << esc_status_text(ESC_OK) << "\n";
  return std::string(esc_library_version()) != ESC_VERSION_STRING;
}
