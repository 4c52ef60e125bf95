"""The import contract of pure modules, for import-linter. Shell: reads the modules' docstrings.

Every module says in its docstring whether it is Pure or a Shell. A pure module imports neither a library that does IO
nor a shell.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

_KIND = re.compile(r"\b(Pure|Shell)\b")


class PureContract(Contract):
    """Modules that call themselves pure import no IO and no shell; every module says what it is."""

    io_modules = fields.ListField(subfield=fields.StringField())
    allowed_imports = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002  (import-linter's signature)
        kinds = {module: _kind_of(module) for module in graph.modules if not graph.is_module_squashed(module)}
        silent = sorted(module for module, kind in kinds.items() if kind is None)
        shells = {module for module, kind in kinds.items() if kind == "Shell"}
        forbidden = shells | set(self.io_modules)
        allowed = set(self.allowed_imports or ())
        broken = sorted(
            f"{module} -> {imported}"
            for module, kind in kinds.items()
            if kind == "Pure"
            for imported in graph.find_modules_directly_imported_by(module)
            if imported in forbidden and f"{module} -> {imported}" not in allowed
        )
        return ContractCheck(kept=not silent and not broken, metadata={"silent": silent, "broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module in check.metadata["silent"]:
            output.print_error(f"{module} does not say in its docstring whether it is Pure or a Shell")
        for pair in check.metadata["broken"]:
            output.print_error(f"{pair}: a pure module imports IO or a shell")


def _kind_of(module: str) -> str | None:
    """Return what a module says of itself; packages (`__init__`) hold no code and say nothing."""
    path = Path(*module.split("."))
    if path.is_dir():
        return "Package"
    found = _KIND.findall(ast.get_docstring(ast.parse(path.with_suffix(".py").read_text(encoding="utf-8"))) or "")
    return found[0] if found else None
