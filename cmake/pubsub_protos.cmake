# Generates and compiles google.pubsub.v1 from the npm package google-proto-files, as the library
# quittance_pubsub_protos. It is Google's code, so our warnings do not apply to it.
set(google_protos ${CMAKE_SOURCE_DIR}/build/npm/node_modules/google-proto-files)
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/npm_packages.sh COMMAND_ERROR_IS_FATAL ANY)

find_package(PkgConfig REQUIRED)
pkg_check_modules(GRPC REQUIRED IMPORTED_TARGET grpc++ protobuf)
quittance_use_archives(PkgConfig::GRPC "(absl_|address_sorting|cares|gpr|grpc|protobuf|re2|upb).*")
find_program(PROTOC protoc REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

set(pubsub_proto_folder ${CMAKE_BINARY_DIR}/generated/pubsub)
file(MAKE_DIRECTORY ${pubsub_proto_folder})
set(pubsub_proto_sources)
foreach(proto google/api/annotations google/api/client google/api/field_behavior google/api/field_info
        google/api/http google/api/launch_stage google/api/resource google/pubsub/v1/schema
        google/pubsub/v1/pubsub)
    set(outputs ${pubsub_proto_folder}/${proto}.pb.cc ${pubsub_proto_folder}/${proto}.pb.h)
    set(grpc_arguments)
    if(proto STREQUAL "google/pubsub/v1/pubsub")
        list(APPEND outputs ${pubsub_proto_folder}/${proto}.grpc.pb.cc
             ${pubsub_proto_folder}/${proto}.grpc.pb.h)
        set(grpc_arguments --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN} --grpc_out=${pubsub_proto_folder})
    endif()
    add_custom_command(
        OUTPUT ${outputs}
        COMMAND ${PROTOC} --proto_path=${google_protos} --cpp_out=${pubsub_proto_folder} ${grpc_arguments}
                ${proto}.proto
        DEPENDS ${google_protos}/${proto}.proto
        VERBATIM)
    list(APPEND pubsub_proto_sources ${outputs})
endforeach()

add_library(quittance_pubsub_protos STATIC ${pubsub_proto_sources})
target_include_directories(quittance_pubsub_protos SYSTEM PUBLIC ${pubsub_proto_folder})
target_compile_options(quittance_pubsub_protos PRIVATE -w)
target_link_libraries(quittance_pubsub_protos PUBLIC PkgConfig::GRPC)

# What a reader of our code needs before it can be read: the generated headers, without their compilation.
set(pubsub_proto_headers ${pubsub_proto_sources})
list(FILTER pubsub_proto_headers INCLUDE REGEX "\\.h$")
add_custom_target(pubsub_proto_headers DEPENDS ${pubsub_proto_headers})
