#include "http/http_date.hpp"

#include <string>

#include <gtest/gtest.h>

namespace quittance::http {
namespace {

TEST(HttpDate, preferred_form_is_read) {
    EXPECT_EQ(to_rfc3339(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").value()),
              "1994-11-06T08:49:37.000Z");
    EXPECT_EQ(to_rfc3339(parse_http_date("Sun, 29 Nov 2026 00:00:00 GMT").value()),
              "2026-11-29T00:00:00.000Z");
    EXPECT_EQ(to_rfc3339(parse_http_date("Thu, 29 Feb 2024 23:59:59 GMT").value()),
              "2024-02-29T23:59:59.000Z");
}

TEST(HttpDate, other_forms_and_impossible_dates_are_rejected) {
    for (const std::string text :
         {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
          "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 6 Nov 1994 08:49:37 GMT", "Mon, 06 Nov 1994 08:49:37 GMT",
          "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT", "Thu, 29 Feb 2026 08:49:37 GMT",
          "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
          "Sun, 0x Nov 1994 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT",
          "Sun,_06 Nov 1994 08:49:37 GMT"}) {
        EXPECT_FALSE(parse_http_date(text)) << text;
    }
}

}  // namespace
}  // namespace quittance::http
