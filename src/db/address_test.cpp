#include "db/address.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"

namespace quittance::db {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ServerAddress parsed(const std::string& url) {
    return parse_server_address(Secret(url));
}

std::string refusal_of(const std::string& url) {
    try {
        static_cast<void>(parsed(url));
    } catch (const ConfigurationError& error) {
        return error.what();
    }
    ADD_FAILURE() << "not refused: " << url;
    return {};
}

TEST(ServerAddressTest, an_address_is_taken_apart_and_its_reserved_characters_decoded) {
    const auto address = parsed("postgresql://sh%40p:p%2Fa:s@s@[::1]:5433/or%20ders?sslmode=verify-full");
    EXPECT_EQ(address.engine, Engine::postgresql);
    EXPECT_EQ(address.user, "sh@p");
    EXPECT_EQ(address.password.reveal(), "p/a:s@s");
    EXPECT_EQ(address.host, "::1");
    EXPECT_EQ(address.port, 5433);
    EXPECT_EQ(address.database, "or ders");
    EXPECT_EQ(address.tls_mode, "verify-full");
    EXPECT_EQ(label(address), "postgresql://sh@p@[::1]:5433/or ders");
    EXPECT_EQ(parsed("mysql://u@/d?socket=/run/mysqld/mysqld.sock").host, "/run/mysqld/mysqld.sock");
    EXPECT_EQ(label(parsed("mysql://u:secret@db/d")), "mysql://u@db:3306/d");
    EXPECT_EQ(parsed("mysql://u@[fe80::1%25eth0]/d").host, "fe80::1%eth0");
}

TEST(ServerAddressTest, providers_other_names_of_the_schemes_mean_the_same) {
    EXPECT_EQ(label(parsed("postgres://u:secret@db/d")), "postgresql://u@db:5432/d");
    EXPECT_EQ(label(parsed("mariadb://u:secret@db/d")), "mysql://u@db:3306/d");
}

TEST(ServerAddressTest, parameters_of_libpq_are_passed_on_and_win_over_ours) {
    const auto text = connection_text(
        parsed("postgres://u:p@db/d?sslmode=require&channel_binding=require&connect_timeout=10&"
               "options=-c%20search_path%3Dshop&application_name=shop&target_session_attrs=primary"));
    for (const char* part :
         {"sslmode=require", "channel_binding=require", "connect_timeout=10",
          "options=-c%20search_path%3Dshop", "application_name=shop", "target_session_attrs=primary",
          "tcp_user_timeout=30000", "client_encoding=UTF8"})
        EXPECT_THAT(text, HasSubstr(part));
    EXPECT_THAT(text, Not(HasSubstr("connect_timeout=4")));
    EXPECT_THAT(text, Not(HasSubstr("application_name=quittance")));
    const auto address =
        parsed("postgresql:///?host=db&port=5433&user=u&password=p%26q&dbname=d&client_encoding=utf8");
    EXPECT_EQ(label(address), "postgresql://u@db:5433/d");
    EXPECT_EQ(address.password.reveal(), "p&q");
}

TEST(ServerAddressTest, a_parameter_that_is_not_supported_is_named_beside_those_that_are) {
    EXPECT_THAT(refusal_of("postgresql://u:s3cret@db/d?pgbouncer=true"),
                AllOf(HasSubstr("\"pgbouncer\""), HasSubstr("channel_binding"), HasSubstr("sslmode")));
    EXPECT_THAT(refusal_of("mysql://u:s3cret@db/d?ssl-mode=REQUIRED"),
                AllOf(HasSubstr("\"ssl-mode\""), HasSubstr("sslca")));
    EXPECT_THAT(refusal_of("postgresql://u:s3cret@db/d?client_encoding=LATIN1"), HasSubstr("\"LATIN1\""));
    EXPECT_THAT(refusal_of("postgresql://u:s3cret@db/d?target_session_attrs=standby"),
                AllOf(HasSubstr("\"standby\""), HasSubstr("read-write")));
}

TEST(ServerAddressTest, of_several_servers_the_one_that_accepts_writes_is_asked_for) {
    const auto address = parsed("postgresql://u:p@a:5433,[2001:db8::1],c/d");
    EXPECT_EQ(label(address), "postgresql://u@a:5433,[2001:db8::1]:5432,c:5432/d");
    const auto text = connection_text(address);
    EXPECT_THAT(text, HasSubstr("host=a%2C2001%3Adb8%3A%3A1%2Cc&port=5433%2C5432%2C5432&"));
    EXPECT_THAT(text, HasSubstr("target_session_attrs=read-write"));
    EXPECT_THAT(connection_text(parsed("postgresql://u:p@a,b/d?target_session_attrs=any")),
                HasSubstr("target_session_attrs=any"));
    EXPECT_THAT(connection_text(parsed("postgresql://u:p@a/d")), Not(HasSubstr("target_session_attrs")));
    EXPECT_EQ(label(parsed("postgresql://u:p@/d?host=a,b&port=6432")), "postgresql://u@a:6432,b:6432/d");
    static_cast<void>(refusal_of("mysql://u:p@a,b/d"));
    static_cast<void>(refusal_of("postgresql://u:p@a,,b/d"));
    static_cast<void>(refusal_of("postgresql://u:p@/d?host=a,b&port=1,2,3"));
}

TEST(ServerAddressTest, hosts_are_understood_as_people_write_them) {
    const auto place = [](const std::string& host) {
        ServerAddress address;
        address.user = "u";
        address.database = "d";
        set_host(address, host);
        return label(address);
    };
    EXPECT_EQ(place("db.example.com"), "postgresql://u@db.example.com:5432/d");
    EXPECT_EQ(place("db:5433"), "postgresql://u@db:5433/d");
    EXPECT_EQ(place("2001:db8::1"), "postgresql://u@[2001:db8::1]:5432/d");
    EXPECT_EQ(place("::1"), "postgresql://u@[::1]:5432/d");
    EXPECT_EQ(place("fe80::1%eth0"), "postgresql://u@[fe80::1%eth0]:5432/d");
    EXPECT_EQ(place("[::1]:5433"), "postgresql://u@[::1]:5433/d");
    EXPECT_EQ(place("a:1,b"), "postgresql://u@a:1,b:5432/d");
    EXPECT_EQ(place("/cloudsql/p:r:i"), "postgresql://u@/d?host=/cloudsql/p:r:i");
    for (const char* host : {"", "db ", "http://db", "db:0", "db:x", "[::1", "[db]", "u@db", "a:b:c:not-one"})
        EXPECT_THROW(static_cast<void>(place(host)), ConfigurationError) << host;
}

TEST(ServerAddressTest, what_cannot_be_used_is_refused_without_its_password) {
    const std::string secret = "hunter2-secret";
    const std::string long_folder = "/cloudsql/" + std::string(90, 'x');
    for (const std::string& url : {secret,
                                   "jdbc:postgresql://u:" + secret + "@h/d",
                                   "postgresql://u:" + secret + "@h",
                                   "postgresql://:" + secret + "@h/d",
                                   "postgresql://u:" + secret + "@h/",
                                   "mysql://u:" + secret + "@h:0/d",
                                   "mysql://u:" + secret + "@h:port/d",
                                   "mysql://u:" + secret + "@h:1 /d",
                                   "mysql://u:" + secret + "%zz@h/d",
                                   "mysql://u:" + secret + "%0a@h/d",
                                   "postgresql://u:" + secret + "@h/d?sslmode=maybe",
                                   "postgresql://u:" + secret + "@h/d?" + secret + "=1",
                                   "postgresql://u:" + secret + "/x@h/d",
                                   "postgresql://u:x/" + secret + "@h/d",
                                   "postgresql://u:" + secret + "/d",
                                   "postgresql://u@h/d?password=x&" + secret,
                                   "postgresql://u@h/d?password=x&" + secret + "=y",
                                   "postgresql://u@h/d?nothing=1&password=" + secret,
                                   "postgresql://u:" + secret + "@h,,i/d",
                                   "mysql://u:" + secret + "@h,i/d",
                                   "postgresql://u:" + secret + "@::1/d",
                                   "postgresql://u:" + secret + "@[h]/d",
                                   "postgresql://u:" + secret + "@h d/d",
                                   "postgresql://u:" + secret + "@h/d?target_session_attrs=standby",
                                   "postgresql://u:" + secret + "@h/d?client_encoding=" + secret,
                                   "postgresql://u:" + secret + "@/d?host=" + long_folder}) {
        const std::string message = refusal_of(url);
        EXPECT_THAT(message, Not(HasSubstr("hunter2")));
        EXPECT_THAT(message, Not(HasSubstr("secret")));
    }
}

}  // namespace
}  // namespace quittance::db
