"""An assembler for classic BPF. Pure.

In: text in the notation of the kernel's bpf_asm. Out: instructions as the kernel takes them (SO_ATTACH_FILTER). A label
that a jump cannot reach, or a line that is no instruction, is a ValueError: programs are written here, not by users.

Source: Documentation/networking/filter.rst and include/uapi/linux/bpf_common.h of the Linux kernel.
"""

from __future__ import annotations

import re
from struct import Struct as Wire
from typing import NamedTuple

INSTRUCTION = Wire("=HBBI")
"""struct sock_filter: code, jump if true, jump if false, operand."""


class Instruction(NamedTuple):
    """One instruction; jumps count the instructions that they skip."""

    code: int
    jump_true: int
    jump_false: int
    operand: int


_LOAD_SIZES = {"ld": 0x00, "ldh": 0x08, "ldb": 0x10}
_ABSOLUTE, _INDIRECT, _MEMORY = 0x20, 0x40, 0x60
_LOAD_IP_HEADER_LENGTH = 0xB1
_STORE = 0x02
_ALU = {"add": 0x04, "sub": 0x14, "and": 0x54, "lsh": 0x64, "rsh": 0x74}
_FROM_X = 0x08
_JUMPS = {"jeq": 0x15, "jgt": 0x25, "jge": 0x35, "jset": 0x45}
_RETURN = 0x06
_TAX, _TXA = 0x07, 0x87

_LABEL = re.compile(r"(\w+):$")
_LOAD = re.compile(r"(ld[hb]?) (?:\[(x \+ )?(-?\d+)\]|M\[(\d+)\])$")
_ARITHMETIC = re.compile(r"(add|sub|and|lsh|rsh) (?:#(\w+)|(x))$")
_JUMP = re.compile(r"(jeq|jgt|jge|jset) #(\w+), (\w+), (\w+)$")

_NEXT = "next"
"""The label of the instruction that follows."""


def assemble(text: str) -> tuple[Instruction, ...]:
    """Assemble a program. `next` in a jump is the instruction that follows it."""
    lines = [line.partition(";")[0].strip() for line in text.splitlines()]
    labels: dict[str, int] = {}
    source: list[str] = []
    for line in filter(None, lines):
        if match := _LABEL.match(line):
            labels[match[1]] = len(source)
        else:
            source.append(line)
    return tuple(_assemble_line(line, at, labels) for at, line in enumerate(source))


def pack(program: tuple[Instruction, ...]) -> bytes:
    """Lay the program out as an array of struct sock_filter."""
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in program)


def _assemble_line(line: str, at: int, labels: dict[str, int]) -> Instruction:
    if match := _LOAD.match(line):
        return _assemble_load(*match.groups())
    if match := _ARITHMETIC.match(line):
        operation, constant, _ = match.groups()
        return Instruction(_ALU[operation] | (0 if constant else _FROM_X), 0, 0, int(constant or "0", 0))
    if match := _JUMP.match(line):
        condition, constant, then, otherwise = match.groups()
        distances = (_distance(at, then, labels), _distance(at, otherwise, labels))
        return Instruction(_JUMPS[condition], *distances, int(constant, 0))
    return _assemble_plain(line)


def _assemble_load(mnemonic: str, indirect: str | None, offset: str | None, cell: str | None) -> Instruction:
    if cell is not None:
        return Instruction(_MEMORY, 0, 0, int(cell))
    mode = _INDIRECT if indirect else _ABSOLUTE
    return Instruction(_LOAD_SIZES[mnemonic] | mode, 0, 0, int(offset or "0") & 0xFFFFFFFF)


def _assemble_plain(line: str) -> Instruction:
    if line in ("tax", "txa"):
        return Instruction(_TAX if line == "tax" else _TXA, 0, 0, 0)
    if line == "ldxb 4*([0]&0xf)":
        return Instruction(_LOAD_IP_HEADER_LENGTH, 0, 0, 0)
    if match := re.match(r"st M\[(\d+)\]$", line):
        return Instruction(_STORE, 0, 0, int(match[1]))
    if match := re.match(r"ret #(\w+)$", line):
        return Instruction(_RETURN, 0, 0, int(match[1], 0))
    raise ValueError(f"{line!r} is no instruction")


def _distance(at: int, label: str, labels: dict[str, int]) -> int:
    distance = 0 if label == _NEXT else labels[label] - at - 1
    if not 0 <= distance <= 255:
        raise ValueError(f"the jump to {label!r} from instruction {at} is out of reach")
    return distance
