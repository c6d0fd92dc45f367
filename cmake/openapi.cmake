# Turns docs/openapi.yaml into a C++ file, so that a program can serve its own description as JSON.
function(quittance_openapi out_variable)
    find_program(DEBIAN_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
    set(generated ${CMAKE_BINARY_DIR}/generated/openapi.cpp)
    add_custom_command(
        OUTPUT ${generated}
        COMMAND ${DEBIAN_PYTHON} ${CMAKE_SOURCE_DIR}/cmake/generate_openapi.py
                ${CMAKE_SOURCE_DIR}/docs/openapi.yaml ${generated}
        DEPENDS ${CMAKE_SOURCE_DIR}/docs/openapi.yaml ${CMAKE_SOURCE_DIR}/cmake/generate_openapi.py
        VERBATIM)
    set(${out_variable} ${generated} PARENT_SCOPE)
endfunction()
