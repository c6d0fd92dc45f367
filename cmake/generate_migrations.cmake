# Run as a script: writes the migrations below FOLDER to OUTPUT; see migrations.cmake.
file(GLOB files RELATIVE ${FOLDER} ${FOLDER}/*/*.sql)
list(SORT files)
set(entries "")
foreach(file ${files})
    if(NOT file MATCHES "^(sqlite|postgresql|mysql)/([0-9][0-9][0-9])_([a-z0-9_]+)\\.sql$")
        message(FATAL_ERROR "migrations/${SERVICE}/${file}: the name must be ENGINE/NNN_name.sql")
    endif()
    set(engine ${CMAKE_MATCH_1})
    set(version ${CMAKE_MATCH_2})
    set(name ${CMAKE_MATCH_3})
    math(EXPR version "1${version} - 1000")
    file(READ ${FOLDER}/${file} sql)
    string(APPEND entries
           "        {Engine::${engine}, ${version}, \"${name}\", R\"migration(${sql})migration\"},\n")
endforeach()
file(WRITE ${OUTPUT}.new
"// Generated from migrations/${SERVICE}; do not edit.
#include \"db/migrate.hpp\"

namespace quittance::db {

const std::vector<Migration>& ${SERVICE}_migrations() {
    static const std::vector<Migration> migrations{
${entries}    };
    return migrations;
}

}  // namespace quittance::db
")
file(COPY_FILE ${OUTPUT}.new ${OUTPUT})
