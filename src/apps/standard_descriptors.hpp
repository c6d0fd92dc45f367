// The descriptors 0, 1 and 2 of a program.
#pragma once

namespace quittance::apps {

/// Opens /dev/null for those that the program was started without: the next file or socket would get their
/// number otherwise, and a line for standard error would go into it. A program that calls it does it before
/// its libraries are initialized already; call it first in main. Ends the program with code 2 where /dev/null
/// cannot be opened.
void open_standard_descriptors() noexcept;

}  // namespace quittance::apps
