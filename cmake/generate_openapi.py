"""Writes a YAML document as JSON inside a C++ file: generate_openapi.py INPUT.yaml OUTPUT.cpp"""

import json
import pathlib
import sys

import yaml

# Compilers need not take longer string literals than this.
PIECE = 16_000

source, output = map(pathlib.Path, sys.argv[1:])
text = json.dumps(yaml.safe_load(source.read_text()), ensure_ascii=True, separators=(",", ":"))
pieces = [text[start:start + PIECE] for start in range(0, len(text), PIECE)]
literals = "\n".join(f'    R"openapi({piece})openapi"' for piece in pieces)
output.parent.mkdir(parents=True, exist_ok=True)
output.write_text(f"""// Generated from {source.name}; do not edit.
#include "apps/common_routes.hpp"

namespace quittance::apps {{

const std::string& openapi_json() {{
    static const std::string text =
{literals};
    return text;
}}

}}  // namespace quittance::apps
""")
