#include "messaging/pubsub_settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"

namespace quittance::messaging {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

PubsubSettings settings(const std::string& project, const std::string& emulator) {
    PubsubSettings settings;
    settings.project = project;
    settings.emulator_host = emulator;
    return settings;
}

std::string refusal_of(const PubsubSettings& settings) {
    try {
        check(settings);
    } catch (const ConfigurationError& error) {
        return error.what();
    }
    ADD_FAILURE() << "not refused: " << settings.project << " " << settings.emulator_host;
    return {};
}

TEST(PubsubSettingsTest, usual_projects_and_emulators_are_taken) {
    for (const char* project : {"my-shop-123", "example.com:my-shop", "123456789012", "Test_1"})
        check(settings(project, ""));
    for (const char* emulator : {"localhost:8085", "127.0.0.1:1", "[::1]:65535", "pubsub_emulator:8085"})
        check(settings("shop", emulator));
}

TEST(PubsubSettingsTest, an_emulators_address_that_cannot_be_one_is_refused_with_an_example) {
    for (const char* emulator :
         {"http://localhost:8085", " ", "localhost", "localhost:", "localhost:0", ":8085", "localhost:65536",
          "localhost:8085 ", "local host:8085", "localhost:8085/", "localhost:8085\n", "::1"}) {
        EXPECT_THAT(
            refusal_of(settings("shop", emulator)),
            AllOf(HasSubstr("PUBSUB_EMULATOR_HOST is \""), HasSubstr("PUBSUB_EMULATOR_HOST=127.0.0.1:8085")));
    }
}

TEST(PubsubSettingsTest, a_project_that_cannot_be_one_is_refused_with_an_example) {
    for (const char* project : {"shop\n", "my shop", "shop/x", "sh\xC3\xB6p", "projects?"}) {
        EXPECT_THAT(refusal_of(settings(project, "")), HasSubstr("GOOGLE_CLOUD_PROJECT=my-shop-123"));
    }
    EXPECT_THAT(refusal_of(settings("", "")), HasSubstr("GOOGLE_CLOUD_PROJECT is missing"));
    EXPECT_THAT(refusal_of(settings("shop\n", "")), HasSubstr("\"shop\\n\""));
}

}  // namespace
}  // namespace quittance::messaging
