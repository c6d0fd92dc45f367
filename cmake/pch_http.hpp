// Precompiled for src/http: the network library is what takes the compiler's time there.
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

