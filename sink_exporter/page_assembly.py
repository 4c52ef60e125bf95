"""The page as one file: HTML with its style, its script and its data inside. Pure.

In: the texts of `sink_exporter/page/` by file name. Out: HTML that asks for nothing else, with a content security
policy that lets run only this script and this style, by their hashes. Modules are joined by wrapping each in a function
that returns what it exports; there is no bundler. Names from a cluster are hostile: data is JSON in a block that no
browser runs, with every `<` escaped, so that nothing in it ends the block.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)
_UNSAFE = {b"<": b"\\u003c", b">": b"\\u003e", b"&": b"\\u0026"}
_POLICY = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src blob: data:; "
    "connect-src {connect}; base-uri 'none'; form-action 'none'"
)
ENTRY = "main"


def assemble_page(sources: Mapping[str, str], data: bytes, *, live: bool) -> bytes:
    """Build the page around its data; a live one may ask its own server, the other nobody."""
    script = join_modules({name[:-3]: text for name, text in sources.items() if name.endswith(".js")})
    style = "\n".join(text for name, text in sorted(sources.items()) if name.endswith(".css"))
    policy = _POLICY.format(script=_hash(script), style=_hash(style), connect="'self'" if live else "'none'")
    parts = {"policy": policy.encode(), "style": style.encode(), "script": script.encode(), "data": escape_data(data)}
    page = re.split(r"\{\{(\w+)\}\}", sources["index.html"])
    return b"".join(parts[text] if number % 2 else text.encode() for number, text in enumerate(page))


def escape_data(data: bytes) -> bytes:
    """Write JSON so that no HTML parser sees markup in it."""
    for character, escape in _UNSAFE.items():
        data = data.replace(character, escape)
    return data


def join_modules(modules: Mapping[str, str]) -> str:
    """Join modules into one script, each after those that it imports. Raises ValueError when one is missing."""
    parts = [_wrap(name, modules[name]) for name in _in_order(modules)]
    return '"use strict";\n' + "".join(parts)


def _in_order(modules: Mapping[str, str]) -> Iterator[str]:
    done: dict[str, bool] = {}

    def visit(name: str) -> Iterator[str]:
        if name in done:
            if not done[name]:
                raise ValueError(f"module {name!r} imports itself by a circle")
            return
        if name not in modules:
            raise ValueError(f"there is no module {name!r} (there are {', '.join(sorted(modules))})")
        done[name] = False
        for match in _IMPORT.finditer(modules[name]):
            yield from visit(match[2])
        done[name] = True
        yield name

    return visit(ENTRY)


def _wrap(name: str, source: str) -> str:
    exported = [match[2] for match in _EXPORT.finditer(source)]
    body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(_take, source))
    return f"const module_{name} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();\n"


def _take(match: re.Match[str]) -> str:
    names = " ".join(match[1].split())
    return f"const {{ {names} }} = module_{match[2]};\n"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
