# Turns migrations/<service>/<engine>/NNN_name.sql into a C++ file, so that a program carries its schema.
function(quittance_migrations out_variable service)
    file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/migrations/${service}/*/*.sql)
    set(generated ${CMAKE_BINARY_DIR}/generated/${service}_migrations.cpp)
    add_custom_command(
        OUTPUT ${generated}
        COMMAND ${CMAKE_COMMAND} -DSERVICE=${service} -DOUTPUT=${generated}
                -DFOLDER=${CMAKE_SOURCE_DIR}/migrations/${service}
                -P ${CMAKE_SOURCE_DIR}/cmake/generate_migrations.cmake
        DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/generate_migrations.cmake
        VERBATIM)
    set(${out_variable} ${generated} PARENT_SCOPE)
endfunction()
